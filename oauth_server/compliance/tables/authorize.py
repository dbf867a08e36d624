"""What the authorization endpoint takes, refuses, shows and sends back."""

from typing import Final

from oauth_server.compliance.checks import (
    authorization_request,
    authorization_response,
    authorize,
    before_login,
    code_challenge,
    cookies,
    issuer_identification,
    pages,
    redirect_uris,
    remembered,
)
from oauth_server.compliance.model import Check
from oauth_server.compliance.tables.row import AS, check

AUTHORIZE = "authorize"
CHALLENGE = "PKCE"
REDIRECT = "redirect URIs"
ISSUER = "issuer identification"
PAGES = "login and consent"

# Levels: one letter for each of 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 (see model.levels).
# fmt: off
ROWS: Final[tuple[Check, ...]] = (
    check("authorize-unknown-client",    AS, AUTHORIZE, "MMMM", "active",  authorize.unknown_client),
    check("authorize-unknown-status",    AS, AUTHORIZE, "MMMM", "active",  authorize.unknown_client_status),
    check("authorize-missing-client",    AS, AUTHORIZE, "MMMM", "active",  authorize.missing_client),
    check("authorize-escaped",           AS, AUTHORIZE, "MMMM", "active",  authorize.escaped),
    check("authorize-not-framed",        AS, AUTHORIZE, "SSSS", "active",  authorize.not_framed),
    check("authorize-authenticates",     AS, AUTHORIZE, "MMMM", "active",  authorization_response.authenticates),
    check("authorize-code",              AS, AUTHORIZE, "MMMM", "active",  authorization_response.code),
    check("authorize-state",             AS, AUTHORIZE, "MMMM", "active",  authorization_response.state),
    check("authorize-state-on-error",    AS, AUTHORIZE, "MMMM", "adversarial", authorization_response.state_on_error),
    check("authorize-error-to-client",   AS, AUTHORIZE, "SSSS", "adversarial", authorization_response.error_to_client),
    check("authorize-error-before-login", AS, AUTHORIZE, "SSSS", "adversarial", before_login.error_redirect),
    check("logout-redirect",             AS, AUTHORIZE, "SSSS", "adversarial", before_login.logout),
    check("authorize-subresource",       AS, AUTHORIZE, "aaaa", "adversarial", before_login.subresource),
    check("authorize-error-characters",  AS, AUTHORIZE, "MMMM", "adversarial", authorization_response.error_characters),
    check("authorize-not-307",           AS, AUTHORIZE, "MMMM", "active",  authorization_response.not_resent),
    check("authorize-303",               AS, AUTHORIZE, "SSSS", "active",  authorization_response.see_other),
    check("authorize-no-store",          AS, AUTHORIZE, "aaaa", "active",  authorization_response.no_store),
    check("authorize-referrer",          AS, AUTHORIZE, "aaaa", "active",  authorization_response.referrer),
    check("authorize-response-type",     AS, AUTHORIZE, "MMMM", "adversarial", authorization_request.response_type),
    check("authorize-no-response-type", AS, AUTHORIZE,   "MMMM", "adversarial", authorization_request.no_response_type),
    check("authorize-duplicate",         AS, AUTHORIZE, "SSSS", "adversarial", authorization_request.duplicate),
    check("authorize-unknown-parameter", AS, AUTHORIZE, "MMMM", "active",  authorization_request.unknown_parameter),
    check("authorize-empty-parameter",   AS, AUTHORIZE, "MMMM", "active",  authorization_request.empty_parameter),
    check("authorize-scope-omitted",     AS, AUTHORIZE, "MMMM", "active",  authorization_request.scope_omitted),
    check("authorize-unknown-scope",     AS, AUTHORIZE, "MMMM", "adversarial", authorization_request.unknown_scope),
    check("authorize-scope-garbage",     AS, AUTHORIZE, "MMMM", "adversarial", authorization_request.malformed_scope),
    check("authorize-request-object",    AS, AUTHORIZE, "MMMM", "adversarial", authorization_request.request_object),
    check("authorize-request-uri",       AS, AUTHORIZE, "MMMM", "adversarial", authorization_request.request_uri),
    check("authorize-prompt-none",       AS, AUTHORIZE, "MMMM", "active",  authorization_request.prompt_none),
    check("authorize-post",              AS, AUTHORIZE, "aaaa", "active",  authorization_request.post),
    check("pkce-required",               AS, CHALLENGE, "MMMM", "adversarial", code_challenge.required),
    check("pkce-required-confidential",  AS, CHALLENGE, "MMMM", "adversarial", code_challenge.required_confidential),
    check("pkce-empty",                  AS, CHALLENGE, "MMMM", "adversarial", code_challenge.empty),
    check("pkce-plain-refused",          AS, CHALLENGE, "MMMM", "adversarial", code_challenge.plain),
    check("pkce-method-missing",         AS, CHALLENGE, "MMMM", "adversarial", code_challenge.method_missing),
    check("pkce-method-unknown",         AS, CHALLENGE, "MMMM", "adversarial", code_challenge.method_unknown),
    check("pkce-challenge-short",        AS, CHALLENGE, "SSSS", "adversarial", code_challenge.short),
    check("pkce-challenge-charset",      AS, CHALLENGE, "SSSS", "adversarial", code_challenge.characters),
    check("redirect-unregistered",       AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.unregistered),
    check("redirect-path-suffix",        AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.path_suffix),
    check("redirect-query-added",        AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.query_added),
    check("redirect-userinfo",           AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.userinfo),
    check("redirect-host-suffix",        AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.host_suffix),
    check("redirect-subdomain",          AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.subdomain),
    check("redirect-scheme",             AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.scheme),
    check("redirect-fragment",           AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.fragment),
    check("redirect-case",               AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.case),
    check("redirect-traversal",          AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.traversal),
    check("redirect-backslash",          AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.backslash),
    check("redirect-port",               AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.port),
    check("redirect-wildcard",           AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.wildcard),
    check("redirect-loopback-port",      AS, REDIRECT,  "MMMM", "active",  redirect_uris.loopback_port),
    check("redirect-omitted-several",    AS, REDIRECT,  "SSSS", "adversarial", redirect_uris.omitted),
    check("redirect-duplicate",          AS, REDIRECT,  "MMMM", "adversarial", redirect_uris.duplicate),
    check("iss-success",                 AS, ISSUER,    "---S", "active",  issuer_identification.success),
    check("iss-error",                   AS, ISSUER,    "---S", "adversarial", issuer_identification.on_error),
    check("iss-exact",                   AS, ISSUER,    "MMMM", "active",  issuer_identification.exact),
    check("iss-once",                    AS, ISSUER,    "MMMM", "active",  issuer_identification.once),
    check("iss-advertised",              AS, ISSUER,    "MMMM", "active",  issuer_identification.advertised),
    check("login-not-framed",            AS, PAGES,     "SSSS", "active",  pages.login_not_framed),
    check("login-no-store",              AS, PAGES,     "aaaa", "active",  pages.login_no_store),
    check("login-referrer",              AS, PAGES,     "aaaa", "active",  pages.login_referrer),
    check("login-cookie-flags",          AS, PAGES,     "SSSS", "active",  cookies.flags),
    check("login-cookie-host-prefix",    AS, PAGES,     "aaaa", "active",  cookies.host_prefix),
    check("login-renews-session",        AS, PAGES,     "aaaa", "active",  cookies.renewed),
    check("consent-not-framed",          AS, PAGES,     "SSSS", "active",  pages.consent_not_framed),
    check("consent-shows-host",          AS, PAGES,     "aaMM", "active",  pages.shows_host),
    check("consent-shows-client-name",   AS, PAGES,     "SSSS", "active",  pages.shows_name),
    check("consent-escaped",             AS, PAGES,     "MMMM", "adversarial", pages.escaped),
    check("consent-cross-site",          AS, PAGES,     "SSSS", "adversarial", remembered.cross_site),
    check("consent-csrf",                AS, PAGES,     "SSSS", "adversarial", pages.consent_csrf),
)
# fmt: on
