"""What clients in their vendors' clouds send to a server with a public https address."""

from tests.support.replay import (
    GRANTS,
    NORMAL,
    RESOURCE_METADATA,
    SERVER_METADATA,
    Open,
    Recording,
    Send,
    connect,
    known_by_document,
    probe,
    redeem,
    register,
)

CLAUDE = "https://claude.ai/api/mcp/auth_callback"
CHATGPT = "https://chatgpt.com/connector/oauth/OUbdUMlL15Ct"
CLAUDE_DOCUMENT = "https://claude.ai/oauth/mcp-oauth-client-metadata"
CHATGPT_DOCUMENT = "https://chatgpt.com/oauth/OUbdUMlL15Ct/client.json"
CLAUDE_METADATA = {
    "client_name": "Claude",
    "redirect_uris": [CLAUDE],
    "grant_types": GRANTS,
    "response_types": ["code"],
    "token_endpoint_auth_method": "client_secret_post",
}
SECRET = {"client_id": "client_id", "client_secret": "client_secret"}
AUTHENTICATED = {"client_id": "{client_id}", "client_secret": "{client_secret}"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "{refresh_token}", **AUTHENTICATED}

CLAUDE_AI = Recording(
    "claude.ai",
    "the order of discovery: anthropics/claude-ai-mcp#888; two registrations: #966; with a secret in the body: #1043; "
    "the scope that starts with a blank, the resource that ends in a slash: modelcontextprotocol/mcpb#188; "
    "two addresses that refresh at once: PrefectHQ/fastmcp#4901; invalid_client: support.claude.com article 11503834",
    (
        probe(),
        SERVER_METADATA,
        RESOURCE_METADATA,
        register("it registers", CLAUDE_METADATA, token_endpoint_auth_method="client_secret_post"),
        Send("and once more", "POST", "/oauth/register", 201, json=CLAUDE_METADATA, keep=SECRET),
        Open(
            "it asks for consent each time",
            {
                "client_id": "{client_id}",
                "redirect_uri": CLAUDE,
                "scope": NORMAL,
                "resource": "{origin}/mcp",
                "prompt": "consent",
                "state": "s",
            },
            at=CLAUDE,
        ),
        redeem("the secret is in the body", CLAUDE, granted=NORMAL, client_secret="{client_secret}"),
        connect(),
        Send("one address refreshes", "POST", "/oauth/token", form=REFRESH, keep={"second": "refresh_token"}),
        Send(
            "the other gets the same successor", "POST", "/oauth/token", form=REFRESH, has={"refresh_token": "{second}"}
        ),
        Send(
            "with another secret it is nobody",
            "POST",
            "/oauth/token",
            401,
            form={**REFRESH, "client_secret": "another"},
            has={"error": "invalid_client", "error_description": "Client authentication failed."},
        ),
        Open(
            "where it found no scope, it asks for a blank and offline_access, and adds a slash to the resource",
            {
                "client_id": "{client_id}",
                "redirect_uri": CLAUDE,
                "scope": " offline_access",
                "resource": "{origin}/",
                "prompt": "consent",
                "state": "s",
            },
            at=CLAUDE,
        ),
        redeem(
            "which means the default beside it",
            CLAUDE,
            granted="mcp:read offline_access",
            client_secret="{client_secret}",
        ),
        *known_by_document(CLAUDE_DOCUMENT, CLAUDE),
    ),
    {CLAUDE_DOCUMENT: CLAUDE_METADATA | {"token_endpoint_auth_method": "none"}},
)

CHATGPT_CONNECTOR = Recording(
    "chatgpt",
    "OpenID Connect discovery: automagik-dev/genie#320; an address for each connector: BasedHardware/omi#8824, "
    "makeplane/plane-mcp-server#165",
    (
        probe(),
        RESOURCE_METADATA,
        Send(
            "it reads OpenID's document",
            "GET",
            "/.well-known/openid-configuration",
            has={
                "issuer": "{origin}",
                "registration_endpoint": "{origin}/oauth/register",
                "code_challenge_methods_supported": ["S256"],
            },
        ),
        register(
            "it registers the connector's own address and the older one",
            {
                "client_name": "ChatGPT",
                "redirect_uris": [CHATGPT, "https://chatgpt.com/connector_platform_oauth_redirect"],
                "grant_types": GRANTS,
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
            },
            application_type="web",
        ),
        Open(
            "it connects",
            {
                "client_id": "{client_id}",
                "redirect_uri": CHATGPT,
                "scope": NORMAL,
                "resource": "{origin}/mcp",
                "state": "s",
            },
            at=CHATGPT,
        ),
        redeem("the code is redeemed", CHATGPT, granted=NORMAL, resource="{origin}/mcp"),
        connect(),
        Open(
            "the address of another connector is not this one's",
            {"client_id": "{client_id}", "redirect_uri": CHATGPT[:-1] + "X", "scope": NORMAL},
            says="The address to return to (redirect_uri) is not one that the application registered.",
        ),
        *known_by_document(CHATGPT_DOCUMENT, CHATGPT),
    ),
    {CHATGPT_DOCUMENT: {"client_name": "ChatGPT", "redirect_uris": [CHATGPT]}},
)

HOSTED = (CLAUDE_AI, CHATGPT_CONNECTOR)
