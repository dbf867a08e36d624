"""What early clients, pages and clients that guess send, whoever made them."""

from tests.support.replay import (
    MCP,
    Open,
    Recording,
    Send,
    connect,
    probe,
    redeem,
    register,
)

BEARER = {"Authorization": "Bearer {access_token}"}

EARLY = Recording(
    "revision-2025-03-26",
    "MCP 2025-03-26 authorization, sections 2.3.1 and 2.3.2; the stream and the session of its transport",
    (
        probe("2025-03-26"),
        Send(
            "it knows no resource metadata and goes to the origin",
            "GET",
            "/.well-known/oauth-authorization-server",
            headers={"MCP-Protocol-Version": "2025-03-26"},
            has={"issuer": "{origin}", "token_endpoint": "{origin}/oauth/token"},
        ),
        register("it registers", {"redirect_uris": ["http://localhost:7777/oauth/callback"]}),
        Open(
            "it names no resource",
            {
                "client_id": "{client_id}",
                "redirect_uri": "http://localhost:7777/oauth/callback",
                "scope": "mcp:read mcp:write",
            },
            at="http://localhost:7777/oauth/callback",
        ),
        redeem("nor here", "http://localhost:7777/oauth/callback", granted="mcp:read mcp:write"),
        connect("and its token opens the endpoint", "2025-03-26"),
        Send(
            "there is no stream to read",
            "GET",
            "/mcp",
            405,
            {**BEARER, "Accept": "text/event-stream"},
            answers={"allow": "POST"},
        ),
        Send("and no session to end", "DELETE", "/mcp", 405, BEARER, answers={"allow": "POST"}),
        Send("the endpoint of the older transport is not here", "GET", "/sse", 404, says="{origin}/mcp"),
        Send(
            "the default endpoint is the one in the metadata", "POST", "/register", 400, json={}, says="redirect_uris"
        ),
    ),
)

FROM_A_BROWSER = Recording(
    "inspector-from-its-page",
    "a header that makes discovery ask first: modelcontextprotocol/typescript-sdk#715; its callback: "
    "better-auth/better-auth#3411",
    (
        Send(
            "discovery may be asked from anywhere",
            "OPTIONS",
            "/.well-known/oauth-protected-resource/mcp",
            204,
            {
                "Origin": "http://localhost:6274",
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "mcp-protocol-version",
            },
            answers={"access-control-allow-origin": "*", "access-control-allow-headers": "mcp-protocol-version"},
        ),
        Send(
            "the endpoint from the origins that the operator named",
            "OPTIONS",
            "/mcp",
            204,
            {
                "Origin": "http://localhost:6274",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version",
            },
            answers={
                "access-control-allow-origin": "http://localhost:6274",
                "access-control-allow-headers": "authorization,content-type,mcp-protocol-version",
            },
        ),
        Send(
            "the page can read the challenge",
            "POST",
            "/mcp",
            401,
            MCP | {"Origin": "http://localhost:6274"},
            json={},
            answers={
                "access-control-allow-origin": "http://localhost:6274",
                "access-control-expose-headers": "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, "
                "RateLimit, RateLimit-Policy, X-Request-Id",
            },
        ),
        Send(
            "and register",
            "POST",
            "/oauth/register",
            201,
            {"Origin": "http://localhost:6274"},
            json={"redirect_uris": ["http://localhost:6274/oauth/callback/debug"]},
            answers={"access-control-allow-origin": "http://localhost:6274"},
        ),
        Send(
            "a page elsewhere is told who can let it in",
            "OPTIONS",
            "/mcp",
            403,
            {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"},
            says="MCP_OAUTH_ALLOW_ORIGINS",
        ),
    ),
)

WELL_KNOWN = Recording(
    "paths-that-clients-try",
    "anthropics/claude-code#95270 and #4448, PrefectHQ/fastmcp#2077; a page with status 200 there: outline/outline#11572",
    (
        *(
            Send(f"nothing is at {path}", "GET", path, 404, says="{origin}/mcp")
            for path in (
                "/.well-known/oauth-authorization-server/mcp",
                "/.well-known/openid-configuration/mcp",
                "/.well-known/oauth-authorization-server/",
                "/mcp/.well-known/oauth-authorization-server",
                "/mcp/.well-known/openid-configuration",
                "/mcp/.well-known/oauth-protected-resource",
            )
        ),
        Send("the root's own metadata", "GET", "/.well-known/oauth-protected-resource", has={"resource": "{origin}"}),
        Send("OpenID's, with the same issuer", "GET", "/.well-known/openid-configuration", has={"issuer": "{origin}"}),
        Send("headers alone", "HEAD", "/.well-known/oauth-authorization-server"),
        Send("the trailing slash leads to the endpoint", "POST", "/mcp/", 307, answers={"location": "/mcp"}),
        Send("whoever posts to the origin is told", "POST", "/", 405, json={}, says="The MCP endpoint is {origin}/mcp"),
    ),
)
