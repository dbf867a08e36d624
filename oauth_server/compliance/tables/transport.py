"""How the endpoint is spoken to: TLS, hosts and origins, messages of each version, browsers, and what it lets slip."""

from typing import Final

from oauth_server.compliance.checks import (
    bodies,
    caching,
    cors,
    leaks,
    protocol,
    sessions,
    transport,
)
from oauth_server.compliance.model import Check
from oauth_server.compliance.tables.row import AS, RS, check

TRANSPORT = "transport"
MESSAGES = "messages"
SESSIONS = "sessions"
CORS = "CORS"
LEAKS = "leaks"

# Levels: one letter for each of 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 (see model.levels).
# fmt: off
ROWS: Final[tuple[Check, ...]] = (
    check("transport-https",             RS, TRANSPORT, "MMMM", "passive", transport.https),
    check("transport-tls-version",       RS, TRANSPORT, "SSSS", "passive", transport.tls_version),
    check("transport-hsts",              RS, TRANSPORT, "aaaa", "passive", transport.strict_transport),
    check("transport-host",              RS, TRANSPORT, "aaaa", "passive", transport.host),
    check("transport-origin",            RS, TRANSPORT, "MMMM", "active",  transport.origin),
    check("transport-origin-null",       RS, TRANSPORT, "MMMM", "active",  transport.null_origin),
    check("transport-get",               RS, TRANSPORT, "SSSS", "active",  transport.get),
    check("transport-trailing-slash",    RS, TRANSPORT, "aaaa", "active",  transport.trailing_slash),
    check("transport-unknown-path",      RS, TRANSPORT, "SSSS", "passive", transport.unknown_well_known),
    check("transport-discover",          RS, MESSAGES,  "---M", "active",  protocol.discover),
    check("transport-result-type",       RS, MESSAGES,  "---M", "active",  protocol.result_type),
    check("transport-version-refused",   RS, MESSAGES,  "-MMM", "adversarial", protocol.version_refused),
    check("transport-version-error",     RS, MESSAGES,  "---M", "adversarial", protocol.version_error),
    check("transport-version-mismatch",  RS, MESSAGES,  "---M", "adversarial", protocol.version_mismatch),
    check("transport-header-missing",    RS, MESSAGES,  "---M", "adversarial", protocol.header_missing),
    check("transport-header-mismatch",   RS, MESSAGES,  "---M", "adversarial", protocol.method_mismatch),
    check("transport-name-mismatch",     RS, MESSAGES,  "---M", "adversarial", protocol.name_mismatch),
    check("transport-meta-missing",      RS, MESSAGES,  "---M", "adversarial", protocol.meta_missing),
    check("transport-unknown-method",    RS, MESSAGES,  "---M", "adversarial", protocol.unknown_method),
    check("transport-invalid-json",      RS, MESSAGES,  "SSSS", "adversarial", bodies.no_json),
    check("transport-id-null",           RS, MESSAGES,  "SSSS", "adversarial", bodies.null_id),
    check("transport-id-type",           RS, MESSAGES,  "SSSS", "adversarial", bodies.mistyped_id),
    check("transport-batch",             RS, MESSAGES,  "M---", "active",  bodies.batch),
    check("transport-no-batch",          RS, MESSAGES,  "-aaa", "adversarial", bodies.no_batch),
    check("transport-accept",            RS, MESSAGES,  "aaaa", "adversarial", bodies.accept),
    check("transport-content-type",      RS, MESSAGES,  "aaaa", "adversarial", bodies.content_type),
    check("transport-large-body",        RS, MESSAGES,  "aaaa", "adversarial", bodies.large),
    check("transport-deep-json",         RS, MESSAGES,  "aaaa", "adversarial", bodies.deep),
    check("transport-cache-hints",       RS, MESSAGES,  "---M", "active",  caching.hints),
    check("transport-list-private",      RS, MESSAGES,  "---M", "active",  caching.private),
    check("transport-sse-buffering",     RS, MESSAGES,  "---S", "active",  caching.unbuffered),
    check("transport-no-session",        RS, SESSIONS,  "---S", "active",  protocol.no_session),
    check("transport-get-405",           RS, SESSIONS,  "---S", "active",  protocol.get),
    check("transport-delete-405",        RS, SESSIONS,  "---S", "active",  protocol.delete),
    check("transport-initialize",        RS, SESSIONS,  "MMM-", "active",  sessions.initialize),
    check("transport-notification",      RS, SESSIONS,  "MMM-", "active",  sessions.notification),
    check("session-visible-ascii",       RS, SESSIONS,  "MMM-", "active",  sessions.visible),
    check("session-random",              RS, SESSIONS,  "SMM-", "active",  sessions.random),
    check("session-no-credential",       RS, SESSIONS,  "SMM-", "adversarial", sessions.no_credential),
    check("cors-discovery",              AS, CORS,      "aaaa", "passive", cors.discovery),
    check("cors-no-credentials",         AS, CORS,      "SSSS", "passive", cors.no_credentials),
    check("cors-reflected",              AS, CORS,      "SSSS", "active",  cors.reflected),
    check("cors-not-at-authorize",       AS, CORS,      "MMMM", "active",  cors.not_at_authorize),
    check("cors-exposes-challenge",      RS, CORS,      "aaaa", "passive", cors.exposes_challenge),
    check("cors-preflight",              RS, CORS,      "aaaa", "active",  cors.preflight),
    check("cors-preflight-headers",      RS, CORS,      "aaaa", "active",  cors.preflight_headers),
    check("leaks-versions",              RS, LEAKS,     "aaaa", "passive", leaks.versions),
    check("leaks-traces",                RS, LEAKS,     "SSSS", "active",  leaks.traces),
    check("leaks-cookies",               AS, LEAKS,     "aaaa", "passive", leaks.cookies),
    check("leaks-secrets",               AS, LEAKS,     "MMMM", "passive", leaks.secrets),
    check("leaks-token-in-errors",       RS, LEAKS,     "aaaa", "active",  leaks.token_in_errors),
    check("leaks-challenge-injection",   RS, LEAKS,     "SSSS", "adversarial", leaks.challenge_injection),
    check("leaks-forwarded-host",        RS, LEAKS,     "aaaa", "active",  leaks.forwarded_host),
)
# fmt: on
