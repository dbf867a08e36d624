"""The document's compose variables are settings of this server, with the values as YAML hands them over."""

import httpx2
import pytest

from oauth_server.core.deployment import deploy
from oauth_server.core.settings import ENV_NAMES, Settings, load
from tests.conftest import MakeServer
from tests.document.reading import DOCUMENT, block, environment
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT

FIRST, ALL = ("1. Enable OAuth in Docker Compose", "yaml"), ("Configuration Options", "yaml")
WARNINGS = (
    (
        "MCP_OAUTH_REQUIRE_HTTPS=false: tokens and passwords for http://mcp-server:8000 travel unencrypted, "
        "and whoever can read the network can use them."
    ),
    "MCP_OAUTH_CLIENT_SECRET is the sample of the documentation, which everyone knows: change it for production.",
)


def loaded(place: tuple[str, str]) -> tuple[dict[str, str], Settings]:
    variables = environment(block(*place))
    return variables, load(variables)


def test_yaml_is_read_without_its_comments_and_with_the_quotes_a_list_keeps() -> None:
    variables = environment(block(*ALL))
    assert len(variables) == 13
    assert variables["MCP_OAUTH_CLIENT_NAME"] == '"MCP Docker Dev Server"'
    assert variables["MCP_OAUTH_TOKEN_EXPIRY"] == "3600"
    assert variables["MCP_OAUTH_REQUIRE_HTTPS"] == "false"
    assert variables["MCP_OAUTH_SCOPE"] == "mcp:read mcp:write mcp:admin"


def test_quick_setup_is_what_the_defaults_are_and_warns_of_nothing() -> None:
    variables, settings = loaded(FIRST)
    assert variables == {"ENABLE_MCP_OAUTH": "true", "MCP_OAUTH_REQUIRE_AUTH": "true"}
    assert (settings.enabled, settings.require_auth) == (True, True)
    assert settings.model_dump() == load({}).model_dump()
    assert deploy(settings, "127.0.0.1", 8000).warnings == ()


def test_every_variable_is_a_setting_and_means_what_it_says() -> None:
    variables, settings = loaded(ALL)
    assert {name for name, origin in settings.origins.items() if origin == "environment"} == variables.keys()
    secret = settings.client_secret
    assert secret is not None
    values = {name: getattr(settings, attribute) for attribute, name in ENV_NAMES.items() if name in variables}
    assert values == {
        "ENABLE_MCP_OAUTH": True,
        "MCP_OAUTH_REQUIRE_AUTH": True,
        "MCP_OAUTH_AUTHORIZATION_SERVER": "http://mcp-server:8000",
        "MCP_OAUTH_ISSUER": "http://mcp-server:8000",
        "MCP_OAUTH_RESOURCE_URI": ("http://mcp-server:8000",),
        "MCP_OAUTH_CLIENT_ID": DEFAULT_CLIENT,
        "MCP_OAUTH_CLIENT_SECRET": secret,
        "MCP_OAUTH_CLIENT_NAME": "MCP Docker Dev Server",
        "MCP_OAUTH_TOKEN_EXPIRY": 3600,
        "MCP_OAUTH_SCOPE": ("mcp:read", "mcp:write", "mcp:admin"),
        "MCP_OAUTH_REQUIRE_HTTPS": False,
        "MCP_OAUTH_DYNAMIC_REGISTRATION": True,
        "MCP_OAUTH_ENABLE_PKCE": True,
    }
    assert secret.get_secret_value() == "mcp_secret_key_change_in_production_2024"


def test_configuration_options_warn_of_plain_http_and_of_the_sample_secret() -> None:
    _, settings = loaded(ALL)
    assert deploy(settings, "0.0.0.0", 8000).warnings == WARNINGS  # noqa: S104 - what a container binds to


def test_every_variable_the_document_mentions_is_a_setting() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    words = {word.strip("`*:.,=()") for word in text.replace("=", " ").split()}
    mentioned = {word for word in words if word.startswith(("MCP_OAUTH_", "ENABLE_MCP_"))}
    assert mentioned == environment(block(*ALL)).keys()
    assert mentioned <= set(ENV_NAMES.values())


@pytest.mark.requirement("AS-06", "RS-03", "attack-38")
async def test_server_runs_with_the_documents_variables(make_server: MakeServer) -> None:
    variables = environment(block(*ALL))
    issuer = "http://mcp-server:8000"
    async with make_server(**variables) as server:
        assert server.url == issuer
        # The name is that of a container; this machine reaches the same server by its loopback address.
        here = f"http://127.0.0.1:{server.port}"
        async with httpx2.AsyncClient(base_url=here, headers={"Host": "mcp-server:8000"}) as http:
            resource = (await http.get("/.well-known/oauth-protected-resource")).json()
            metadata = (await http.get("/.well-known/oauth-authorization-server")).json()
            refused = await http.get("/oauth/test")
            form = {"grant_type": "authorization_code", "code": "x", "code_verifier": "v" * 43}
            form |= {"client_id": variables["MCP_OAUTH_CLIENT_ID"], "redirect_uri": CALLBACK}
            without = await http.post("/oauth/token", data=form)
            secret = {"client_secret": variables["MCP_OAUTH_CLIENT_SECRET"]}
            with_secret = await http.post("/oauth/token", data=form | secret)
    assert resource["resource"] == issuer
    assert resource["authorization_servers"] == [issuer]
    # Clients ask for all that a resource lists, so the one for administration stands with the authorization server.
    assert resource["scopes_supported"] == ["mcp:read", "mcp:write"]
    assert metadata["scopes_supported"][:3] == ["mcp:read", "mcp:write", "mcp:admin"]
    assert metadata["issuer"] == issuer
    assert metadata["registration_endpoint"] == f"{issuer}/oauth/register"
    assert refused.status_code == 401
    assert f'resource_metadata="{issuer}/.well-known/oauth-protected-resource"' in refused.headers["www-authenticate"]
    # With a secret configured the pre-registered client must authenticate.
    assert (without.status_code, without.json()["error"]) == (401, "invalid_client")
    assert (with_secret.status_code, with_secret.json()["error"]) == (400, "invalid_grant")
