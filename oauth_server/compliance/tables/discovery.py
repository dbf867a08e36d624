"""What is published: resource and server metadata, OpenID discovery, keys."""

from typing import Final

from oauth_server.compliance.checks import (
    authorization_server,
    capabilities,
    jwks,
    member_types,
    openid,
    protected_resource,
)
from oauth_server.compliance.model import Check
from oauth_server.compliance.tables.row import AS, RS, check

PRM = "protected resource metadata"
METADATA = "authorization server metadata"
OPENID = "OpenID discovery"
JWKS = "JWKS"

# Levels: one letter for each of 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 (see model.levels).
# fmt: off
ROWS: Final[tuple[Check, ...]] = (
    check("prm-found",                   RS, PRM,       "-MMM", "passive", protected_resource.found),
    check("prm-at-inserted-path",        RS, PRM,       "-SSS", "passive", protected_resource.at_inserted_path),
    check("prm-at-root",                 RS, PRM,       "-aaa", "passive", protected_resource.at_root),
    check("prm-media-type",              RS, PRM,       "-MMM", "passive", protected_resource.media_type),
    check("prm-resource-matches",        RS, PRM,       "-MMM", "passive", protected_resource.resource_matches),
    check("prm-resource-form",           RS, PRM,       "-MMM", "passive", protected_resource.resource_form),
    check("prm-types",                   RS, PRM,       "-MMM", "passive", member_types.protected_resource),
    check("prm-authorization-servers",   RS, PRM,       "-MMM", "passive", protected_resource.authorization_servers),
    check("prm-bearer-methods",          RS, PRM,       "-MMM", "passive", protected_resource.bearer_methods),
    check("prm-scopes-supported",        RS, PRM,       "-SSS", "passive", protected_resource.scopes_supported),
    check("prm-no-offline-access",       RS, PRM,       "---S", "passive", protected_resource.no_offline_access),
    check("prm-cacheable",               RS, PRM,       "-aaa", "passive", protected_resource.cacheable),
    check("prm-agree",                   RS, PRM,       "-aaa", "passive", protected_resource.agree),
    check("asm-found",                   AS, METADATA,  "SMMM", "passive", authorization_server.found),
    check("asm-at-inserted-path",        AS, METADATA,  "--aa", "passive", authorization_server.at_inserted_path),
    check("asm-media-type",              AS, METADATA,  "MMMM", "passive", authorization_server.media_type),
    check("asm-issuer-exact",            AS, METADATA,  "MMMM", "passive", authorization_server.issuer_exact),
    check("asm-issuer-form",             AS, METADATA,  "MMMM", "passive", authorization_server.issuer_form),
    check("asm-issuer-slash",            AS, METADATA,  "aaaa", "passive", authorization_server.issuer_slash),
    check("asm-endpoints-stated",        AS, METADATA,  "MMMM", "passive", authorization_server.endpoints_stated),
    check("asm-endpoints-secure",        AS, METADATA,  "MMMM", "passive", authorization_server.endpoints_secure),
    check("asm-types",                   AS, METADATA,  "MMMM", "passive", authorization_server.types),
    check("asm-no-empty-lists",          AS, METADATA,  "MMMM", "passive", authorization_server.no_empty_lists),
    check("asm-second-opinion",          AS, METADATA,  "MMMM", "passive", authorization_server.second_opinion),
    check("asm-response-types",          AS, METADATA,  "MMMM", "passive", capabilities.response_types),
    check("asm-pkce-s256",               AS, METADATA,  "SSMM", "passive", capabilities.pkce_s256),
    check("asm-pkce-no-plain",           AS, METADATA,  "SSSS", "passive", capabilities.pkce_no_plain),
    check("asm-grant-types",             AS, METADATA,  "SSSS", "passive", capabilities.grant_types),
    check("asm-no-password-grant",       AS, METADATA,  "MMMM", "passive", capabilities.no_password_grant),
    check("asm-no-implicit-grant",       AS, METADATA,  "SSSS", "passive", capabilities.no_implicit_grant),
    check("asm-auth-methods",            AS, METADATA,  "SSSS", "passive", capabilities.auth_methods),
    check("asm-public-clients",          AS, METADATA,  "aaaa", "passive", capabilities.public_clients),
    check("asm-iss-parameter",           AS, METADATA,  "---S", "passive", capabilities.iss_parameter),
    check("asm-scopes-supported",        AS, METADATA,  "SSSS", "passive", capabilities.scopes_supported),
    check("asm-scopes-agree",            AS, METADATA,  "-aaa", "passive", capabilities.scopes_agree),
    check("asm-client-metadata-docs",    AS, METADATA,  "--SS", "passive", capabilities.client_metadata_documents),
    check("asm-client-identifiers",      AS, METADATA,  "SSaa", "passive", capabilities.client_identifiers),
    check("asm-refresh-consistent",      AS, METADATA,  "aaaa", "passive", capabilities.refresh_consistent),
    check("oidc-issuer",                 AS, OPENID,    "MMMM", "passive", openid.issuer),
    check("oidc-required",               AS, OPENID,    "MMMM", "passive", openid.required),
    check("oidc-pkce",                   AS, OPENID,    "--MM", "passive", openid.pkce),
    check("oidc-id-token-algorithms",    AS, OPENID,    "MMMM", "passive", openid.id_token_algorithms),
    check("oidc-request-uri",            AS, OPENID,    "aaaa", "passive", openid.request_uri),
    check("oidc-openid-scope",           AS, OPENID,    "SSSS", "passive", openid.openid_scope),
    check("oidc-agrees",                 AS, OPENID,    "SSSS", "passive", openid.agrees),
    check("jwks-readable",               AS, JWKS,      "MMMM", "passive", jwks.readable),
    check("jwks-public-only",            AS, JWKS,      "MMMM", "passive", jwks.public_only),
    check("jwks-no-symmetric",           AS, JWKS,      "MMMM", "passive", jwks.no_symmetric),
    check("jwks-kid-unique",             AS, JWKS,      "SSSS", "passive", jwks.kid_unique),
    check("jwks-parameters",             AS, JWKS,      "SSSS", "passive", jwks.parameters),
    check("jwks-strength",               AS, JWKS,      "MMMM", "passive", jwks.strength),
    check("jwks-covers-id-tokens",       AS, JWKS,      "SSSS", "passive", jwks.covers_id_tokens),
)
# fmt: on
