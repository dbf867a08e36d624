"""What editors send to a server on the same computer."""

from tests.support.replay import (
    GRANTS,
    RESOURCE_METADATA,
    SERVER_METADATA,
    Open,
    Recording,
    Send,
    connect,
    probe,
    redeem,
    register,
    unknown_client,
)

VS_CODE = Recording(
    "vs-code",
    "microsoft/vscode src/vs/base/common/oauth.ts; the port that was taken: microsoft/vscode#278512; "
    "the registration that is gone: #250960",
    (
        probe(),
        RESOURCE_METADATA,
        SERVER_METADATA,
        register(
            "it registers web and loopback addresses at once, as a native client",
            {
                "client_name": "Visual Studio Code",
                "client_uri": "https://code.visualstudio.com",
                "grant_types": [*GRANTS, "urn:ietf:params:oauth:grant-type:device_code"],
                "response_types": ["code"],
                "redirect_uris": [
                    "https://insiders.vscode.dev/redirect",
                    "https://vscode.dev/redirect",
                    "http://127.0.0.1/",
                    "http://127.0.0.1:33418/",
                ],
                "scope": "mcp:read mcp:write",
                "token_endpoint_auth_method": "none",
                "application_type": "native",
            },
            grant_types=GRANTS,
            application_type="native",
            scope="mcp:read mcp:write",
        ),
        Open(
            "its port was taken, and its state is base64",
            {
                "client_id": "{client_id}",
                "redirect_uri": "http://127.0.0.1:59656/",
                "scope": "mcp:read mcp:write",
                "resource": "{origin}/mcp",
                "state": "ey/lnTwSm9FUcQN/QdsBCg==",
            },
            at="http://127.0.0.1:59656/",
        ),
        redeem("the code is redeemed", "http://127.0.0.1:59656/", granted="mcp:read mcp:write"),
        connect(),
        Open(
            "in a browser it returns to vscode.dev, and an empty path is the same as a slash",
            {"client_id": "{client_id}", "redirect_uri": "https://vscode.dev/redirect", "scope": "mcp:read"},
            at="https://vscode.dev/redirect",
        ),
        Open(
            "a loopback address without its slash",
            {"client_id": "{client_id}", "redirect_uri": "http://127.0.0.1:59656", "scope": "mcp:read"},
            at="http://127.0.0.1:59656",
        ),
        *unknown_client("of-a-lost-database", "http://127.0.0.1:33418/"),
    ),
)

CURSOR = Recording(
    "cursor",
    "five addresses in one registration: erp-mafia/accounted#2225, koala73/worldmonitor#8305; "
    "a dead refresh token: PrefectHQ/fastmcp#2461",
    (
        probe(),
        RESOURCE_METADATA,
        SERVER_METADATA,
        register(
            "one address nobody knows would fail them all",
            {
                "client_name": "Cursor",
                "redirect_uris": [
                    "cursor://anysphere.cursor-mcp/oauth/callback",
                    "https://www.cursor.com/agents/mcp/oauth/callback",
                    "https://www.cursor.com/bot/mcp/oauth/callback",
                    "http://localhost:8787/callback",
                    "grokbot://mcp/oauth/callback",
                ],
                "grant_types": GRANTS,
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
            },
            application_type="native",
        ),
        Open(
            "the code goes to the application by its own scheme",
            {
                "client_id": "{client_id}",
                "redirect_uri": "cursor://anysphere.cursor-mcp/oauth/callback",
                "scope": "mcp:read mcp:write mcp:admin",
                "resource": "{origin}/mcp",
                "state": "s",
            },
            at="cursor://anysphere.cursor-mcp/oauth/callback",
        ),
        redeem(
            "the code is redeemed",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            granted="mcp:read mcp:write mcp:admin",
        ),
        connect(),
        Send(
            "a dead refresh token is invalid_grant, so that it signs in again",
            "POST",
            "/oauth/token",
            400,
            form={"grant_type": "refresh_token", "refresh_token": "dead", "client_id": "{client_id}"},
            has={"error": "invalid_grant"},
        ),
        Send(
            "an address that is not Cursor's fails the registration and is named",
            "POST",
            "/oauth/register",
            400,
            json={"redirect_uris": ["http://localhost:8787/callback", "evil://cursor/callback"]},
            has={"error": "invalid_redirect_uri"},
            says="The redirect URI 'evil://cursor/callback' has a private-use scheme that is not allowed here",
        ),
    ),
)
