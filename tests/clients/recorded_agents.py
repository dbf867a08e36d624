"""What agents on the command line send: recorded from their own runs against this server."""

from tests.support.replay import (
    GRANTS,
    MCP,
    MISSING,
    NORMAL,
    RESOURCE_METADATA,
    SERVER_METADATA,
    Open,
    Recording,
    Send,
    challenge,
    connect,
    known_by_document,
    redeem,
    refresh,
    register,
)

LISTENER = "http://localhost:63887/callback"
DOCUMENT = "https://claude.ai/oauth/claude-code-client-metadata"
EVERYTHING = "mcp:read mcp:write mcp:admin offline_access"

CLAUDE_CODE = Recording(
    "claude-code",
    "version 2.1.197; another port in a later run: anthropics/claude-code#37767; no scope at all: #4540; "
    "two processes with one refresh token: #91641; its metadata document: #41011",
    (
        RESOURCE_METADATA,
        SERVER_METADATA,
        register(
            "it registers the scopes of the resource",
            {
                "client_name": "Claude Code (oauth)",
                "redirect_uris": [LISTENER],
                "grant_types": GRANTS,
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
                "scope": "mcp:read mcp:write mcp:admin",
            },
            token_endpoint_auth_method="none",
            client_secret=MISSING,
            scope="mcp:read mcp:write mcp:admin",
        ),
        Open(
            "it asks for offline_access, which it did not register",
            {
                "client_id": "{client_id}",
                "redirect_uri": LISTENER,
                "scope": EVERYTHING,
                "resource": "{origin}/mcp",
                "state": "PUuEmeKP7qBjLDUBMgR5kVE8iEv01mbdI7Zy_om8Oto",
            },
            at=LISTENER,
        ),
        redeem("and gets it", LISTENER, granted=EVERYTHING, resource="{origin}/mcp"),
        connect(),
        refresh("one process refreshes", keep={"access_token": "access_token", "second": "refresh_token"}),
        refresh("another, with the same token, gets the same successor", keep={}, refresh_token="{second}"),
        Open(
            "a later run listens on another port and asks for no scope",
            {"client_id": "{client_id}", "redirect_uri": "http://localhost:3118/callback", "resource": "{origin}/mcp"},
            at="http://localhost:3118/callback",
        ),
        redeem(
            "which means what was registered", "http://localhost:3118/callback", granted="mcp:read mcp:write mcp:admin"
        ),
        connect(),
        Send(
            "signing out ends the grant",
            "POST",
            "/oauth/revoke",
            form={
                "token": "{refresh_token}",
                "token_type_hint": "refresh_token",
                "client_id": "{client_id}",
            },
        ),
        Send(
            "and the access token once more",
            "POST",
            "/oauth/revoke",
            form={"token": "{access_token}", "token_type_hint": "access_token", "client_id": "{client_id}"},
        ),
        Send(
            "the access token is refused",
            "POST",
            "/mcp",
            401,
            MCP | {"Authorization": "Bearer {access_token}"},
            json={},
            says="invalid_token",
        ),
        refresh("and so is the refresh token", 400, {}, error="invalid_grant"),
        *known_by_document(DOCUMENT, LISTENER),
    ),
    # Without a port: the one of its listener is chosen when it starts.
    {
        DOCUMENT: {
            "client_name": "Claude Code",
            "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
        }
    },
)

CODEX = Recording(
    "codex",
    "version 0.169.0",
    (
        Send(
            "it looks at the endpoint with GET, and is told where to go there too",
            "GET",
            "/mcp",
            401,
            {"Accept": "application/json, text/event-stream"},
            answers={"www-authenticate": challenge()},
        ),
        RESOURCE_METADATA,
        SERVER_METADATA,
        register(
            "it registers offline_access as a scope like any other",
            {
                "client_name": "Codex",
                "redirect_uris": ["http://127.0.0.1:41453/callback"],
                "grant_types": GRANTS,
                "token_endpoint_auth_method": "none",
                "response_types": ["code"],
                "scope": NORMAL,
                "application_type": "native",
            },
            scope=NORMAL,
        ),
        Open(
            "it asks for the same",
            {
                "client_id": "{client_id}",
                "redirect_uri": "http://127.0.0.1:41453/callback",
                "scope": NORMAL,
                "resource": "{origin}/mcp",
                "state": "XhWLYWS1aHOwqM6EIAvQig",
            },
            at="http://127.0.0.1:41453/callback",
        ),
        redeem("and gets it", "http://127.0.0.1:41453/callback", granted=NORMAL, resource="{origin}/mcp"),
        connect(),
    ),
)
