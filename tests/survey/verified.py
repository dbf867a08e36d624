"""What was seen by hand of each finding at the other servers, by server and check."""

VERIFIED: dict[tuple[str, str], str] = {
    ("this", "resource-trailing-slash"): (
        "resource=…/mcp/ is invalid_target on purpose: a URI with a slash at its end is another one (RFC 3986 "
        "section 6.2)"
    ),
    ("fastmcp", "register-javascript"): (
        'POST /register with redirect_uris ["javascript:alert(document.domain)"]: 201, and the URI is in the '
        "answer; RFC 7591 section 5 has MUST be one of https, http to the local machine, an application's own "
        "scheme"
    ),
    ("fastmcp", "register-data"): (
        'POST /register with redirect_uris ["data:text/html,x"]: 201, and the URI is in the answer'
    ),
    ("fastmcp", "register-http"): (
        'POST /register with redirect_uris ["http://client.invalid/callback"]: 201; MCP: all redirect URIs MUST '
        "be either localhost or use HTTPS"
    ),
    ("fastmcp", "register-fragment"): (
        'POST /register with redirect_uris ["https://client.invalid/callback#fragment"]: 201, while "/callback" '
        "is 400; OAuth 2.1 section 2.3: MUST NOT include a fragment component"
    ),
    ("fastmcp", "authorize-authenticates"): (
        "GET /authorize without any cookie: 302 with a code at once; the provider is meant for tests, and its "
        "source says that it simulates user authorization"
    ),
    ("fastmcp", "pkce-empty"): (
        "GET /authorize with code_challenge= and S256: a code, which no verifier redeems (401 invalid_grant); "
        "OAuth 2.1 section 3.1 has MUST for empty parameters, section 4.1.2.1 MUST reject for a missing challenge"
    ),
    ("fastmcp", "pkce-method-missing"): (
        "GET /authorize with a S256 challenge and no code_challenge_method: a code, which the verifier redeems: "
        "200; the metadata lists S256 alone, and a missing method means plain (OAuth 2.1 section 4.1.1)"
    ),
    ("fastmcp", "redirect-loopback-port"): (
        'GET /authorize with another port than the registered one at 127.0.0.1: 400 "not registered for client"; '
        "RFC 8252 section 7.3: MUST allow any port"
    ),
    ("fastmcp", "token-unsupported-grant"): (
        'POST /token with grant_type=urn:example:x: 400 invalid_request, "does not match any of the expected '
        'tags"; RFC 6749 section 5.2 names unsupported_grant_type for it'
    ),
    ("fastmcp", "token-invalid-grant-status"): (
        "POST /token of a registered public client with a code that never was: 401 invalid_grant; RFC 6749 "
        "section 5.2 has 401 for invalid_client alone"
    ),
    ("fastmcp", "token-wrong-redirect"): (
        "POST /token with a good code and redirect_uri=…/callback/other: 400 invalid_request; RFC 6749 section "
        "5.2 names invalid_grant for it"
    ),
    ("fastmcp", "token-client-credentials"): (
        "POST /token with grant_type=client_credentials: 400 invalid_request, so no token is issued, but the "
        "error is not the one that RFC 6749 section 5.2 names"
    ),
    ("fastmcp", "token-basic-challenge"): (
        "POST /token with a wrong secret by Basic, with and without client_id in the body: 401 invalid_client "
        "without WWW-Authenticate; RFC 6749 section 5.2: MUST include it"
    ),
    ("fastmcp", "client-basic-alone"): (
        'POST /token of a client_secret_basic client with the right credentials: 401 "Missing client_id", and '
        "200 once client_id is in the body, too"
    ),
    ("fastmcp", "scope-empty"): (
        'GET /authorize with scope=: invalid_scope "Client was not registered with scope ", and a code without '
        "the parameter; OAuth 2.1 section 3.1: MUST be treated as if they were omitted"
    ),
    ("fastmcp", "resource-authorize-foreign"): (
        "GET /authorize and POST /token with resource=https://resource.invalid/mcp, then POST /mcp with that "
        "token: 200; the provider's source does not keep the parameter"
    ),
    ("fastmcp", "refresh-reuse-revokes"): (
        "POST /token with a refresh token that was replaced twice, 35 seconds later: 401 invalid_grant, and then "
        "the newest one: 200; OAuth 2.1 section 4.3.1 has MUST for rotation as it describes it"
    ),
    ("fastmcp", "revoke-refresh"): (
        'POST /revoke of a public client with its good refresh token: 400 "client_secret: Field required", which '
        "it has none of; with client_secret= it is 200, and the token is dead; RFC 7009 section 2.1 checks "
        "credentials of confidential clients alone"
    ),
    ("fastmcp", "transport-origin"): (
        "POST /mcp with a good token and Origin: https://evil.example: 200 (without a token: 401); the Origin is "
        "not checked"
    ),
    ("fastmcp", "transport-origin-null"): "POST /mcp with a good token and Origin: null: 200 (without a token: 401)",
    ("fastmcp", "prm-at-root"): "GET /.well-known/oauth-protected-resource: 404; with /mcp behind it: 200",
    ("fastmcp", "asm-issuer-slash"): (
        "GET /.well-known/oauth-authorization-server: the issuer is the base URL with a slash, which was "
        "configured without one"
    ),
    ("fastmcp", "asm-public-clients"): (
        "GET /.well-known/oauth-authorization-server: client_secret_post and client_secret_basic are listed, "
        "though a client of the method none is registered and served"
    ),
    ("fastmcp", "asm-iss-parameter"): (
        "GET /.well-known/oauth-authorization-server: authorization_response_iss_parameter_supported is not there"
    ),
    ("fastmcp", "asm-scopes-supported"): (
        "GET /.well-known/oauth-authorization-server: no scopes_supported, though the challenge of /mcp asks for "
        "scope mcp"
    ),
    ("fastmcp", "asm-client-metadata-docs"): (
        "GET /.well-known/oauth-authorization-server: client_id_metadata_document_supported is not there"
    ),
    ("fastmcp", "register-no-store"): (
        "POST /register for client_secret_post: 201 with a client_secret, and no Cache-Control"
    ),
    ("fastmcp", "register-implicit"): (
        "POST /register with grant_types [authorization_code, implicit] and response_types [code, token]: 201, "
        "and both come back as asked"
    ),
    ("fastmcp", "register-large"): (
        "POST /register with a software_id of 204800 characters: 201, and all of it comes back"
    ),
    ("fastmcp", "authorize-error-before-login"): (
        "GET /authorize of a client that registered https://client.invalid/callback, with response_type=x: 302 to it "
        "with unsupported_response_type; error_response in mcp/server/auth/handlers/authorize.py redirects whenever "
        "the redirect URI is registered, and anyone may register"
    ),
    ("fastmcp", "authorize-subresource"): (
        "GET /authorize with the Sec-Fetch headers of an image on another site: 302 with a code, as for a person; "
        "authorize of in_memory.py stores a code each time, and neither it nor the handler in front of it reads Sec-Fetch-Site"
    ),
    ("fastmcp", "authorize-referrer"): (
        "GET /authorize: the 302 with the code has Cache-Control: no-store and no Referrer-Policy"
    ),
    ("fastmcp", "authorize-duplicate"): (
        "GET /authorize with client_id twice: a code; OAuth 2.1 section 3.1 says MUST NOT to the client, and "
        "section 4.1.2.1 calls it an invalid request"
    ),
    ("fastmcp", "pkce-challenge-short"): (
        "GET /authorize with code_challenge=c2hvcnQ: a code; the grammar of OAuth 2.1 section 4.1.1 has 43 "
        "characters or more"
    ),
    ("fastmcp", "pkce-challenge-charset"): (
        "GET /authorize with slashes, asterisks and equal signs in code_challenge: a code"
    ),
    ("fastmcp", "iss-success"): "GET /authorize: the redirect has code and state, and no iss",
    ("fastmcp", "iss-error"): (
        "GET /authorize with response_type=nonsense: the redirect has error, error_description and state, and no iss"
    ),
    ("fastmcp", "token-duplicate"): (
        "POST /token with grant_type twice and a good code: 200; of two values of code_verifier the last one "
        "counts; with a code that never was: 401 invalid_grant"
    ),
    ("fastmcp", "token-omitted-redirect"): (
        'POST /token with a good code and without redirect_uri: 400 "redirect_uri did not match", and 200 with '
        "it; OAuth 2.1 section 10.2 has clients that leave it out"
    ),
    ("fastmcp", "token-code-replay-revokes"): (
        "POST /token with a code for the second and third time, seven seconds later: 401 invalid_grant, and then "
        "its refresh token: 200 with new tokens"
    ),
    ("fastmcp", "pkce-short-verifier"): (
        "POST /token with a verifier of 14 characters whose S256 was the challenge: 200 with tokens"
    ),
    ("fastmcp", "client-two-methods"): (
        "POST /token of a client_secret_post client with its secret in the body and by Basic: 200, also when the "
        "one by Basic is wrong; RFC 6749 section 5.2 calls it invalid_request"
    ),
    ("fastmcp", "scope-unregistered"): (
        "POST /register without scope, then GET /authorize with scope=mcp, as the challenge of /mcp names it: "
        'invalid_scope "Client was not registered with scope mcp"'
    ),
    ("fastmcp", "scope-offline-access"): (
        'GET /authorize with offline_access beside the registered scope: invalid_scope "Client was not '
        'registered with scope offline_access"; it may be ignored, and the metadata does not list it: advice'
    ),
    ("fastmcp", "resource-invalid-target"): (
        "GET /authorize with resource=https://resource.invalid/mcp: a code; RFC 8707 section 2: should be "
        "invalid_target"
    ),
    ("fastmcp", "resource-token-foreign"): (
        "POST /token with resource=https://resource.invalid/mcp for a code of /mcp: 200 with tokens; the "
        "parameter is read by nobody"
    ),
    ("fastmcp", "refresh-grace"): "POST /token with the same refresh token twice in a row: 200, then 401 invalid_grant",
    ("fastmcp", "revoke-access"): (
        'POST /revoke of a public client: 400 "client_secret: Field required", whatever the token; a '
        "client_secret_post client gets 200"
    ),
    ("fastmcp", "bearer-duplicate-header"): (
        "POST /mcp with the good token in the first of two Authorization headers: 200; with it in the second: 401"
    ),
    ("fastmcp", "transport-host"): (
        "GET /.well-known/oauth-protected-resource/mcp with Host: evil.example: 200; POST /mcp with a good token "
        "and that Host: 200, too"
    ),
    ("fastmcp", "cors-preflight"): "OPTIONS /mcp with its own Origin and Access-Control-Request-Method: 405",
    ("sdk", "register-javascript"): (
        'POST /register with redirect_uris ["javascript:alert(document.domain)"]: 201, and the URI is in the '
        "answer; RFC 7591 section 5 has MUST be one of https, http to the local machine, an application's own "
        "scheme"
    ),
    ("sdk", "register-data"): (
        'POST /register with redirect_uris ["data:text/html,x"]: 201, and the URI is in the answer'
    ),
    ("sdk", "register-http"): (
        'POST /register with redirect_uris ["http://client.invalid/callback"]: 201; MCP: all redirect URIs MUST '
        "be either localhost or use HTTPS"
    ),
    ("sdk", "register-fragment"): (
        'POST /register with redirect_uris ["https://client.invalid/callback#fragment"]: 201, while "/callback" '
        "is 400; OAuth 2.1 section 2.3: MUST NOT include a fragment component"
    ),
    ("sdk", "authorize-state"): (
        "GET /authorize with a + or & or %20 in state leads to /login with the state unencoded in its query, and "
        'the login to 400 "Invalid state parameter"; without such characters a code comes; OAuth 2.1 section '
        "4.1.2: the exact value received"
    ),
    ("sdk", "pkce-empty"): (
        "GET /authorize with code_challenge= and S256, then the login: a code, which no verifier redeems (400 "
        "invalid_grant); OAuth 2.1 section 3.1 has MUST for empty parameters, section 4.1.2.1 MUST reject for a "
        "missing challenge"
    ),
    ("sdk", "pkce-method-missing"): (
        "GET /authorize with a S256 challenge and no code_challenge_method: a code, which the verifier redeems: "
        "200; the metadata lists S256 alone, and a missing method means plain (OAuth 2.1 section 4.1.1)"
    ),
    ("sdk", "redirect-loopback-port"): (
        'GET /authorize with another port than the registered one at 127.0.0.1: 400 "not registered for client"; '
        "RFC 8252 section 7.3: MUST allow any port"
    ),
    ("sdk", "consent-escaped"): (
        "GET /login with markup in state: 200 with the markup as it is in the page, also a script element; OAuth "
        "2.1 section 7.11: MUST sanitize any value received"
    ),
    ("sdk", "token-unsupported-grant"): (
        'POST /token with grant_type=urn:example:x: 400 invalid_request, "does not match any of the expected '
        'tags"; RFC 6749 section 5.2 names unsupported_grant_type for it'
    ),
    ("sdk", "token-wrong-redirect"): (
        "POST /token with a good code and redirect_uri=…/callback/other: 400 invalid_request; RFC 6749 section "
        "5.2 names invalid_grant for it"
    ),
    ("sdk", "token-client-credentials"): (
        "POST /token with grant_type=client_credentials: 400 invalid_request, so no token is issued, but the "
        "error is not the one that RFC 6749 section 5.2 names"
    ),
    ("sdk", "token-basic-challenge"): (
        "POST /token with a wrong secret by Basic, with and without client_id in the body: 401 invalid_client "
        "without WWW-Authenticate; RFC 6749 section 5.2: MUST include it"
    ),
    ("sdk", "client-basic-alone"): (
        'POST /token of a client_secret_basic client with the right credentials: 401 "Missing client_id", and '
        "200 once client_id is in the body, too"
    ),
    ("sdk", "scope-empty"): (
        'GET /authorize with scope=: invalid_scope "Client was not registered with scope ", and a code without '
        "the parameter; OAuth 2.1 section 3.1: MUST be treated as if they were omitted"
    ),
    ("sdk", "prm-at-root"): "GET /.well-known/oauth-protected-resource: 404; with /mcp behind it: 200",
    ("sdk", "asm-issuer-slash"): (
        "GET /.well-known/oauth-authorization-server: the issuer ends in a slash, as in the protected resource metadata"
    ),
    ("sdk", "asm-public-clients"): (
        "GET /.well-known/oauth-authorization-server: client_secret_post and client_secret_basic are listed, "
        "though a client of the method none is registered and served"
    ),
    ("sdk", "asm-iss-parameter"): (
        "GET /.well-known/oauth-authorization-server: authorization_response_iss_parameter_supported is not there"
    ),
    ("sdk", "asm-client-metadata-docs"): (
        "GET /.well-known/oauth-authorization-server: client_id_metadata_document_supported is not there"
    ),
    ("sdk", "register-no-store"): (
        "POST /register for client_secret_post: 201 with a client_secret, and no Cache-Control"
    ),
    ("sdk", "register-implicit"): (
        "POST /register with grant_types [authorization_code, implicit] and response_types [code, token]: 201, "
        "and both come back as asked"
    ),
    ("sdk", "register-large"): "POST /register with a software_id of 204800 characters: 201, and all of it comes back",
    ("sdk", "authorize-error-before-login"): (
        "GET /authorize of a client that registered https://client.invalid/callback, with response_type=x: 302 to it "
        "with unsupported_response_type, while right requests go to /login; error_response in "
        "mcp/server/auth/handlers/authorize.py redirects whenever the redirect URI is registered"
    ),
    ("sdk", "authorize-subresource"): (
        "GET /authorize with the Sec-Fetch headers of an image on another site: 302 to /login; authorize of "
        "simple_auth_provider.py stores the state of each request, and no handler reads Sec-Fetch-Site"
    ),
    ("sdk", "authorize-303"): "POST /login/callback with the right password: 302",
    ("sdk", "authorize-no-store"): "POST /login/callback: the 302 with the code has no Cache-Control",
    ("sdk", "authorize-referrer"): "POST /login/callback: the 302 with the code has no Referrer-Policy",
    ("sdk", "authorize-duplicate"): (
        "GET /authorize with client_id twice: a code; OAuth 2.1 section 3.1 says MUST NOT to the client, and "
        "section 4.1.2.1 calls it an invalid request"
    ),
    ("sdk", "pkce-challenge-short"): (
        "GET /authorize with code_challenge=c2hvcnQ: a code; the grammar of OAuth 2.1 section 4.1.1 has 43 "
        "characters or more"
    ),
    ("sdk", "pkce-challenge-charset"): (
        "GET /authorize with slashes, asterisks and equal signs in code_challenge: a code"
    ),
    ("sdk", "iss-success"): "GET /authorize: the redirect has code and state, and no iss",
    ("sdk", "iss-error"): (
        "GET /authorize with response_type=nonsense: the redirect has error, error_description and state, and no iss"
    ),
    ("sdk", "login-not-framed"): "GET /login: 200 without X-Frame-Options and Content-Security-Policy",
    ("sdk", "login-no-store"): "GET /login: 200 without Cache-Control",
    ("sdk", "login-referrer"): "GET /login: 200 without Referrer-Policy, and the state is in its address",
    ("sdk", "token-duplicate"): (
        "POST /token with grant_type twice and a good code: 200; of two values of code_verifier the last one "
        "counts; with a code that never was: 400 invalid_grant"
    ),
    ("sdk", "token-omitted-redirect"): (
        'POST /token with a good code and without redirect_uri: 400 "redirect_uri did not match", and 200 with '
        "it; OAuth 2.1 section 10.2 has clients that leave it out"
    ),
    ("sdk", "token-code-replay-revokes"): (
        "POST /token with a code for the second and third time, seven seconds later: 400 invalid_grant, and then "
        "POST /mcp with its access token: 200"
    ),
    ("sdk", "pkce-short-verifier"): (
        "POST /token with a verifier of 14 characters whose S256 was the challenge: 200 with tokens"
    ),
    ("sdk", "client-two-methods"): (
        "POST /token of a client_secret_post client with its secret in the body and by Basic: 200, also when the "
        "one by Basic is wrong; RFC 6749 section 5.2 calls it invalid_request"
    ),
    ("sdk", "scope-offline-access"): (
        'GET /authorize with offline_access beside the registered scope: invalid_scope "Client was not '
        'registered with scope offline_access"; it may be ignored, and the metadata does not list it: advice'
    ),
    ("sdk", "resource-invalid-target"): (
        "GET /authorize with resource=https://resource.invalid/mcp: a code; RFC 8707 section 2: should be "
        "invalid_target; its token is refused at /mcp: 401"
    ),
    ("sdk", "resource-token-foreign"): (
        "POST /token with resource=https://resource.invalid/mcp for a code of /mcp: 200 with a token; the "
        "parameter is read by nobody"
    ),
    ("sdk", "refresh-issued"): (
        "POST /token with a good code: 200 with access_token, token_type, expires_in and scope; its source says "
        "that refresh tokens are not supported"
    ),
    ("sdk", "revoke-advertised"): (
        "GET /.well-known/oauth-authorization-server: no revocation_endpoint; POST /revoke: 404"
    ),
    ("sdk", "challenge-scope"): (
        "POST /mcp without a token: the challenge has error, error_description and resource_metadata, and no "
        "scope; MCP: SHOULD include it"
    ),
    ("sdk", "challenge-no-error"): (
        'POST /mcp without a token: the challenge says error="invalid_token"; RFC 6750 section 3.1: SHOULD NOT '
        "include an error code"
    ),
    ("sdk", "bearer-duplicate-header"): (
        "POST /mcp with the good token in the first of two Authorization headers: 200; with it in the second: 401"
    ),
    ("sdk", "transport-host"): (
        "GET /.well-known/oauth-protected-resource/mcp with Host: evil.example: 200; the endpoint itself does "
        "refuse it: POST /mcp with a good token and that Host: 421"
    ),
    ("sdk", "cors-preflight"): "OPTIONS /mcp with its own Origin and Access-Control-Request-Method: 401",
    ("oidc-provider", "pkce-required-confidential"): (
        "GET /auth of a client_secret_basic client with scope=openid, without nonce and code_challenge: a code, "
        "redeemed without a verifier: 200; OAuth 2.1 section 4.1.2.1: MUST reject unless the injection of codes "
        "is mitigated in other ways, as by the nonce"
    ),
    ("oidc-provider", "asm-client-metadata-docs"): (
        "GET /.well-known/openid-configuration: client_id_metadata_document_supported is not there"
    ),
    ("oidc-provider", "authorize-not-framed"): (
        "GET /auth of an unknown client: 400 with a page without X-Frame-Options and Content-Security-Policy"
    ),
    ("oidc-provider", "authorize-error-before-login"): (
        "GET /auth of a client that registered https://client.invalid/callback, with response_type=x: 303 to it with "
        "unsupported_response_type; in lib/actions/authorization/index.js checkResponseType comes before interactions, "
        "and lib/shared/authorization_error_handler.js redirects whenever the redirect URI is registered"
    ),
    ("oidc-provider", "logout-redirect"): (
        "GET /session/end with the client_id and post_logout_redirect_uri of a client that registered itself, without "
        "id_token_hint or a session: 200 with a form that a script sends to /session/end/confirm, and then 303 to the "
        "registered address; renderLogout in lib/actions/end_session.js asks only those who are signed in"
    ),
    ("oidc-provider", "authorize-subresource"): (
        "GET /auth with the Sec-Fetch headers of an image on another site: 303 to /interaction/… with its cookies; "
        "each request stores an interaction, and no file of the package reads Sec-Fetch-Site"
    ),
    ("oidc-provider", "authorize-referrer"): (
        "GET /auth/… after the consent: the 303 with the code has Cache-Control: no-store and no Referrer-Policy"
    ),
    ("oidc-provider", "login-not-framed"): (
        "GET /interaction/… with the login form: 200 without X-Frame-Options and Content-Security-Policy"
    ),
    ("oidc-provider", "login-referrer"): "GET /interaction/… with the login form: 200 without Referrer-Policy",
    ("oidc-provider", "consent-not-framed"): (
        "GET /interaction/… with the consent form: 200 without X-Frame-Options and Content-Security-Policy; the "
        "page is the package's own for development"
    ),
    ("oidc-provider", "consent-cross-site"): (
        "GET /auth with Sec-Fetch-Site: cross-site, after one consent to a public client at "
        "https://client.invalid/callback: 303 with a code; lib/helpers/interaction_policy/prompts/consent.js asks "
        "again for native clients alone, as OAuth 2.1 section 7.3.1 allows where https redirect URIs are proof enough"
    ),
    ("oidc-provider", "client-method-registered"): (
        "POST /token of a client_secret_basic client with client_id and client_secret in the body: 200 with "
        "tokens; no standard forbids it: advice"
    ),
    ("oidc-provider", "assertion-audience-list"): (
        "POST /token with an assertion whose aud is the issuer and https://resource.invalid/mcp: 200, and 401 "
        "invalid_client without the issuer; RFC 7523 allows the list, its revision does not: advice"
    ),
    ("oidc-provider", "assertion-no-kid"): (
        "POST /token of a client with two keys and an assertion by the second of them without kid: 400 invalid_grant, "
        "so the client was authenticated; verify in lib/helpers/jwt.js tries each key that selectForVerify leaves"
    ),
    ("oidc-provider", "assertion-large-keys"): (
        "POST /reg with eleven RSA keys of 8192 bits: 201, and all of them come back; then each POST /token with an "
        "assertion without kid tries them all; checkJWK in lib/models/client.js bounds neither their number nor their size"
    ),
    ("oidc-provider", "refresh-grace"): (
        "POST /token with the same refresh token twice in a row: 200, then 400 invalid_grant"
    ),
    ("oidc-provider", "refresh-race"): (
        "POST /token with a refresh token for the second time at once: 400 invalid_grant, and then its "
        "successor: 400, too; OAuth 2.1 section 4.3.1 has it so: advice"
    ),
}
