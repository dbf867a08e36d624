"""What the token endpoint gives, to whom, and for what: requests, codes, PKCE, client authentication."""

from typing import Final

from oauth_server.compliance.checks import (
    assertions,
    client_authentication,
    client_keys,
    codes,
    member_types,
    pkce,
    token_endpoint,
    token_requests,
    token_response,
)
from oauth_server.compliance.model import Check
from oauth_server.compliance.tables.row import AS, check

ENDPOINT = "token endpoint"
PKCE = "PKCE"
CLIENTS = "client authentication"

# Levels: one letter for each of 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 (see model.levels).
# fmt: off
ROWS: Final[tuple[Check, ...]] = (
    check("token-get",                   AS, ENDPOINT,  "SSSS", "active",  token_endpoint.get_refused),
    check("token-unsupported-grant",     AS, ENDPOINT,  "MMMM", "active",  token_endpoint.unsupported_grant),
    check("token-missing-grant",         AS, ENDPOINT,  "MMMM", "active",  token_endpoint.missing_grant),
    check("token-duplicate",             AS, ENDPOINT,  "SSSS", "active",  token_endpoint.duplicate),
    check("token-json-body",             AS, ENDPOINT,  "SSSS", "active",  token_endpoint.json_body),
    check("token-multipart",             AS, ENDPOINT,  "SSSS", "active",  token_requests.multipart),
    check("token-text-plain",            AS, ENDPOINT,  "SSSS", "active",  token_requests.plain_text),
    check("token-large-body",            AS, ENDPOINT,  "aaaa", "adversarial", token_requests.large_body),
    check("token-bogus-code",            AS, ENDPOINT,  "MMMM", "active",  token_endpoint.bogus),
    check("token-invalid-grant-status",  AS, ENDPOINT,  "MMMM", "adversarial", token_requests.grant_status),
    check("token-error-json",            AS, ENDPOINT,  "MMMM", "active",  token_endpoint.error_json),
    check("token-error-chars",           AS, ENDPOINT,  "MMMM", "active",  token_requests.error_characters),
    check("token-no-store",              AS, ENDPOINT,  "SSSS", "active",  token_endpoint.no_store),
    check("token-cors",                  AS, ENDPOINT,  "aaaa", "active",  token_requests.cors),
    check("token-response",              AS, ENDPOINT,  "MMMM", "active",  token_response.response),
    check("token-types",                 AS, ENDPOINT,  "MMMM", "active",  member_types.token_response),
    check("token-no-store-success",      AS, ENDPOINT,  "MMMM", "active",  token_response.no_store),
    check("token-expires-in",            AS, ENDPOINT,  "SSSS", "active",  token_response.expires_in),
    check("token-lifetime",              AS, ENDPOINT,  "SSSS", "active",  token_response.lifetime),
    check("token-scope-stated",          AS, ENDPOINT,  "MMMM", "active",  token_response.scope_stated),
    check("token-query",                 AS, ENDPOINT,  "aaaa", "adversarial", token_requests.query),
    check("token-wrong-redirect",        AS, ENDPOINT,  "MMMM", "adversarial", codes.wrong_redirect),
    check("token-omitted-redirect",      AS, ENDPOINT,  "aaaa", "active",  codes.omitted_redirect),
    check("token-code-replay",           AS, ENDPOINT,  "MMMM", "adversarial", codes.replay),
    check("token-code-replay-revokes",   AS, ENDPOINT,  "SSSS", "adversarial", codes.replay_revokes),
    check("token-code-other-client",     AS, ENDPOINT,  "MMMM", "adversarial", codes.other_client),
    check("token-code-kept",             AS, ENDPOINT,  "aaaa", "adversarial", codes.kept),
    check("token-code-parallel",         AS, ENDPOINT,  "MMMM", "adversarial", codes.parallel),
    check("token-client-credentials",    AS, ENDPOINT,  "MMMM", "adversarial", token_requests.client_credentials),
    check("token-password-grant",        AS, ENDPOINT,  "MMMM", "adversarial", token_requests.password_grant),
    check("pkce-wrong-verifier",         AS, PKCE,      "MMMM", "adversarial", pkce.wrong),
    check("pkce-missing-verifier",       AS, PKCE,      "MMMM", "adversarial", pkce.absent),
    check("pkce-empty-verifier",         AS, PKCE,      "MMMM", "adversarial", pkce.empty),
    check("pkce-challenge-as-verifier",  AS, PKCE,      "MMMM", "adversarial", pkce.challenge),
    check("pkce-short-verifier",         AS, PKCE,      "aaaa", "adversarial", pkce.short),
    check("token-basic-challenge",       AS, CLIENTS,   "MMMM", "active",  token_endpoint.basic_challenge),
    check("client-basic-alone",          AS, CLIENTS,   "MMMM", "active",  client_authentication.basic_alone),
    check("client-basic-encoded",        AS, CLIENTS,   "aaaa", "adversarial", client_authentication.form_encoded),
    check("client-basic-malformed",      AS, CLIENTS,   "MMMM", "active",  client_authentication.malformed_basic),
    check("client-wrong-secret",         AS, CLIENTS,   "MMMM", "adversarial", client_authentication.wrong_secret),
    check("client-no-secret",            AS, CLIENTS,   "MMMM", "adversarial", client_authentication.no_secret),
    check("client-two-methods",          AS, CLIENTS,   "SSSS", "adversarial", client_authentication.two_methods),
    check("client-secret-in-query",      AS, CLIENTS,   "MMMM", "adversarial", client_authentication.secret_in_query),
    check("client-method-registered",    AS, CLIENTS,   "aaaa", "adversarial", client_authentication.method_registered),
    check("assertion-works",             AS, CLIENTS,   "SSSS", "active",  assertions.works),
    check("assertion-alg-none",          AS, CLIENTS,   "MMMM", "adversarial", assertions.unsigned),
    check("assertion-confused",          AS, CLIENTS,   "MMMM", "adversarial", assertions.confused),
    check("assertion-wrong-key",         AS, CLIENTS,   "MMMM", "adversarial", assertions.wrong_key),
    check("assertion-wrong-audience",    AS, CLIENTS,   "MMMM", "adversarial", assertions.wrong_audience),
    check("assertion-audience-list",     AS, CLIENTS,   "aaaa", "adversarial", assertions.audience_list),
    check("assertion-no-kid",            AS, CLIENTS,   "aaaa", "adversarial", assertions.no_kid),
    check("assertion-large-keys",        AS, CLIENTS,   "aaaa", "adversarial", client_keys.large),
    check("assertion-expired",           AS, CLIENTS,   "MMMM", "adversarial", assertions.expired),
    check("assertion-no-expiry",         AS, CLIENTS,   "MMMM", "adversarial", assertions.no_expiry),
    check("assertion-sub-mismatch",      AS, CLIENTS,   "MMMM", "adversarial", assertions.other_subject),
    check("assertion-iss-mismatch",      AS, CLIENTS,   "MMMM", "adversarial", assertions.other_issuer),
    check("assertion-replayed-jti",      AS, CLIENTS,   "aaaa", "adversarial", assertions.replayed),
)
# fmt: on
