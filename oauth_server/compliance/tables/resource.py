"""How the endpoint receives a call: challenge, tokens, scopes, transport, and what it lets slip."""

from typing import Final

from oauth_server.compliance.checks import (
    bearer,
    challenge,
    cors,
    leaks,
    transport,
)
from oauth_server.compliance.model import Check
from oauth_server.compliance.tables.row import AS, RS, check

CHALLENGE = "challenge"
BEARER = "bearer tokens"
CORS = "CORS"
TRANSPORT = "transport"
LEAKS = "leaks"

# Levels: one letter for each of 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 (see model.levels).
# fmt: off
ROWS: Final[tuple[Check, ...]] = (
    check("challenge-status",            RS, CHALLENGE, "MMMM", "passive", challenge.status),
    check("challenge-scheme",            RS, CHALLENGE, "MMMM", "passive", challenge.scheme),
    check("challenge-syntax",            RS, CHALLENGE, "MMMM", "passive", challenge.syntax),
    check("challenge-resource-metadata", RS, CHALLENGE, "-Maa", "passive", challenge.resource_metadata),
    check("challenge-resolves",          RS, CHALLENGE, "-MMM", "passive", challenge.resolves),
    check("challenge-scope",             RS, CHALLENGE, "--SS", "passive", challenge.scope),
    check("challenge-no-offline-access", RS, CHALLENGE, "---S", "passive", challenge.no_offline_access),
    check("challenge-no-error",          RS, CHALLENGE, "SSSS", "passive", challenge.no_error),
    check("challenge-not-html",          RS, CHALLENGE, "aaaa", "passive", challenge.not_html),
    check("bearer-garbage",              RS, BEARER,    "MMMM", "active",  bearer.garbage),
    check("bearer-invalid-token",        RS, BEARER,    "SSSS", "active",  bearer.invalid_token),
    check("bearer-metadata",             RS, BEARER,    "-aaa", "active",  bearer.invalid_token_metadata),
    check("bearer-malformed",            RS, BEARER,    "MMMM", "active",  bearer.malformed),
    check("bearer-other-scheme",         RS, BEARER,    "MMMM", "active",  bearer.other_scheme),
    check("bearer-unsigned",             RS, BEARER,    "MMMM", "adversarial", bearer.unsigned),
    check("bearer-confused-algorithm",   RS, BEARER,    "MMMM", "adversarial", bearer.confused_algorithm),
    check("bearer-query",                RS, BEARER,    "MMMM", "active",  bearer.query),
    check("bearer-accepted",             RS, BEARER,    "MMMM", "active",  bearer.accepted),
    check("bearer-tampered",             RS, BEARER,    "MMMM", "adversarial", bearer.tampered),
    check("userinfo-token",              AS, BEARER,    "MMMM", "active",  bearer.userinfo),
    check("cors-discovery",              AS, CORS,      "aaaa", "passive", cors.discovery),
    check("cors-no-credentials",         AS, CORS,      "SSSS", "passive", cors.no_credentials),
    check("cors-exposes-challenge",      RS, CORS,      "aaaa", "passive", cors.exposes_challenge),
    check("cors-preflight",              RS, CORS,      "aaaa", "active",  cors.preflight),
    check("transport-https",             RS, TRANSPORT, "MMMM", "passive", transport.https),
    check("transport-hsts",              RS, TRANSPORT, "aaaa", "passive", transport.strict_transport),
    check("transport-host",              RS, TRANSPORT, "aaaa", "passive", transport.host),
    check("transport-origin",            RS, TRANSPORT, "MMMM", "active",  transport.origin),
    check("transport-get",               RS, TRANSPORT, "SSSS", "active",  transport.get),
    check("transport-unknown-path",      RS, TRANSPORT, "SSSS", "passive", transport.unknown_well_known),
    check("leaks-versions",              RS, LEAKS,     "aaaa", "passive", leaks.versions),
    check("leaks-traces",                RS, LEAKS,     "SSSS", "active",  leaks.traces),
    check("leaks-cookies",               AS, LEAKS,     "aaaa", "passive", leaks.cookies),
    check("leaks-secrets",               AS, LEAKS,     "MMMM", "passive", leaks.secrets),
)
# fmt: on
