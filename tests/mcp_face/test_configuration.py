"""mcp_oauth_get_configuration and oauth://configuration: every setting with its origin, and never a secret."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from jsonschema import Draft202012Validator

from oauth_server.core.settings import ENV_NAMES
from oauth_server.store.verbs import form_secrets, users
from oauth_server.store.verbs import keys as signing_keys
from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.mcp_http import MODES, mcp_client, token_for
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import PASSWORD, Running
from tests.support.stdio import stdio_client

TOOL = "mcp_oauth_get_configuration"
CANARY = "canary-client-secret-0123456789abcdef"
OPERATOR = {
    "MCP_HOST", "MCP_PORT", "MCP_WORKERS", "MCP_OAUTH_ADMIN_PASSWORD", "MCP_OAUTH_ADMIN_USERNAME", "MCP_OAUTH_AUTO_APPROVE",
    "MCP_OAUTH_CHECK_HOSTS", "MCP_OAUTH_CLIENT_SECRET", "MCP_OAUTH_DATABASE_URL", "MCP_OAUTH_INSECURE_BIND", "MCP_OAUTH_KEY_ENCRYPTION_KEY", "MCP_OAUTH_TRUSTED_PROXIES",
}  # fmt: skip


def _settings(answer: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    return {entry["name"]: (entry["value"], entry["origin"]) for entry in answer["settings"]}


async def _configuration(client: Client[Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await client.call_tool(TOOL)).structured_content
    return found


async def _everything(client: Client[Any]) -> str:
    """All that the tools and resources give without arguments."""
    said = []
    for tool in (
        "protected_resource_metadata",
        "authorization_server_metadata",
        "get_configuration",
        "check_compliance",
    ):
        result = await client.call_tool(f"mcp_oauth_{tool}")
        said += [json.dumps(result.structured_content), result.content[0].text]
    for resource in await client.list_resources():
        said.append((await client.read_resource(resource.uri))[0].text)
    clients = json.loads((await client.read_resource("oauth://clients"))[0].text)["clients"]
    for entry in clients:
        said.append((await client.read_resource(f"oauth://clients/{entry['client_id']}"))[0].text)
    return "\n".join(said)


@pytest.mark.requirement("attack-73", "regression-10")
async def test_an_administrator_sees_every_setting_with_its_origin(shared: Running, admin: Client[Any]) -> None:
    answer = await _configuration(admin)
    settings = _settings(answer)
    assert set(settings) == set(ENV_NAMES.values())
    assert answer["withheld"] == []
    assert answer["issuer"] == shared.url
    assert settings["MCP_OAUTH_TOKEN_EXPIRY"] == (3600, "default")
    assert settings["MCP_OAUTH_DATABASE_URL"] == (shared.location, "environment")
    assert settings["MCP_OAUTH_CLIENT_SECRET"] == ("not set", "default")
    assert settings["MCP_OAUTH_SCOPE"][0] == ["mcp:read", "mcp:write", "mcp:admin"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.requirement("attack-73", "attack-77", "regression-10")
async def test_origins_tell_environment_file_and_default_apart(
    make_server: MakeServer, tmp_path: Path, mode: str
) -> None:
    (tmp_path / "secret").write_text(CANARY + "\n")
    env = {"MCP_OAUTH_CLIENT_SECRET_FILE": str(tmp_path / "secret"), "MCP_OAUTH_TOKEN_EXPIRY": "600"}
    async with make_server(**env) as server, mcp_client(server, await token_for(server, "mcp:admin"), mode) as client:
        answer = await _configuration(client)
        settings = _settings(answer)
        assert settings["MCP_OAUTH_CLIENT_SECRET"] == ("set", "file")
        assert settings["MCP_OAUTH_ADMIN_PASSWORD"] == ("set", "environment")
        assert settings["MCP_OAUTH_TOKEN_EXPIRY"] == (600, "environment")
        assert settings["MCP_OAUTH_REFRESH_GRACE"] == (30, "default")
        text = (await client.call_tool(TOOL)).content[0].text
        assert "MCP_OAUTH_TOKEN_EXPIRY = 600 (environment)" in text
        assert CANARY not in text + json.dumps(answer)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scope", ["mcp:read", "mcp:write"])
@pytest.mark.requirement("attack-73", "RS-12")
async def test_the_operators_fields_are_named_but_not_shown_without_admin(
    shared: Running, mode: str, scope: str
) -> None:
    async with mcp_client(shared, await token_for(shared, scope), mode) as client:
        result = await client.call_tool(TOOL)
        answer = result.structured_content
        schema = {tool.name: tool.output_schema for tool in await client.list_tools()}[TOOL]
        Draft202012Validator(schema).validate(answer)
    assert set(answer["withheld"]) == OPERATOR
    assert set(_settings(answer)) == set(ENV_NAMES.values()) - OPERATOR
    assert answer["warnings"] == []
    for hidden in (shared.location, shared.location.partition("///")[2] or shared.location.partition("host=")[2]):
        assert hidden not in json.dumps(answer) + result.content[0].text


@pytest.mark.parametrize("mode", [*MODES, "stdio"])
@pytest.mark.requirement("attack-73", "regression-10", "RS-22", "AS-35")
async def test_no_secret_of_any_kind_is_in_anything_that_is_returned(make_server: MakeServer, mode: str) -> None:
    async with make_server(MCP_OAUTH_CLIENT_SECRET=CANARY) as server:
        browser = Browser(server.url)
        confidential = await OAuthClient.register(server, token_endpoint_auth_method="client_secret_post")
        unused = await confidential.code(browser, Pkce.new())
        tokens = await confidential.tokens(browser, scope="mcp:read openid offline_access")
        cookies = [cookie.value for cookie in browser.http.cookies.jar]
        owner = await server.services.store.read(users.by_username, "admin")
        keys = await server.services.store.read(signing_keys.listed)
        registered = await server.services.clients.find(confidential.client_id)
        assert owner is not None
        assert registered is not None
        assert registered.secret_hash is not None
        secrets = [
            CANARY, PASSWORD, confidential.secret, unused, *cookies, owner.password_hash,
            *(tokens[name] for name in ("access_token", "refresh_token", "id_token")),
            *(line for key in keys for line in key.private_pem.splitlines()[1:-1]),
            *(one.secret for one in await server.services.store.read(form_secrets.listed)), registered.secret_hash.hex(),
        ]  # fmt: skip
        env = {"MCP_OAUTH_CLIENT_SECRET": CANARY, "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD}
        client: Client[Any] = (
            stdio_client(server, **env)
            if mode == "stdio"
            else mcp_client(server, await token_for(server, "mcp:admin"), mode)
        )
        async with client:
            said = await _everything(client)
        assert confidential.client_id in said
        assert len(secrets) > 10
        for secret in secrets:
            assert secret
            assert secret not in said
        await browser.close()
        await confidential.close()
