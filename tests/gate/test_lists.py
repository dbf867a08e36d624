"""Lists show what the person's scope ceiling allows, whatever the token holds."""

import httpx2
import pytest

from tests.support.mcp_http import ERAS, MODES, Era, add_user, ask, mcp_client, result, token_for
from tests.support.server import Running

READ_TOOLS = {
    "mcp_oauth_protected_resource_metadata",
    "mcp_oauth_authorization_server_metadata",
    "mcp_oauth_validate_token",
    "mcp_oauth_get_configuration",
    "mcp_oauth_check_compliance",
}
TOOLS = {"mcp:read": READ_TOOLS, "mcp:write": READ_TOOLS | {"mcp_oauth_register_client"}}
READ_RESOURCES = {
    "ui://oauth/compliance.html",
    *(
        f"oauth://{name}"
        for name in ("protected-resource", "authorization-server", "openid-configuration", "jwks", "me", "compliance")
    ),
}
ADMIN_RESOURCES = {f"oauth://{name}" for name in ("configuration", "clients", "grants", "audit")}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "ceiling", [("mcp:read",), ("mcp:read", "mcp:write"), ("mcp:write",), ("mcp:admin",)], ids=" ".join
)
@pytest.mark.parametrize("held", ["openid", "mcp:read", "mcp:admin"])
@pytest.mark.requirement("RS-18", "RS-31")
async def test_the_ceiling_and_not_the_token_decides_what_is_listed(
    shared: Running, mode: str, ceiling: tuple[str, ...], held: str
) -> None:
    subject = await add_user(shared, f"{mode}-{held}-{'+'.join(ceiling)}", *ceiling)
    async with mcp_client(shared, await token_for(shared, held, subject=subject), mode) as client:
        tools = {tool.name for tool in await client.list_tools()}
        resources = {str(resource.uri) for resource in await client.list_resources()}
        templates = {template.uri_template for template in await client.list_resource_templates()}
    admin = "mcp:admin" in ceiling
    assert tools == TOOLS["mcp:read" if ceiling == ("mcp:read",) else "mcp:write"]
    assert resources == READ_RESOURCES | (ADMIN_RESOURCES if admin else set())
    assert templates == ({"oauth://clients/{client_id}"} if admin else set())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.requirement("RS-18")
async def test_the_owner_sees_everything_with_the_least_token(shared: Running, mode: str) -> None:
    async with mcp_client(shared, await token_for(shared, "mcp:read"), mode) as client:
        assert {tool.name for tool in await client.list_tools()} == TOOLS["mcp:write"]
        assert {str(found.uri) for found in await client.list_resources()} == READ_RESOURCES | ADMIN_RESOURCES
        assert len(await client.list_resource_templates()) == 1


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.requirement("RS-30")
async def test_what_depends_on_the_caller_is_never_for_a_shared_cache(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    token = await token_for(shared, "mcp:admin")
    asked = [
        ("tools/list", {}),
        ("resources/list", {}),
        ("resources/templates/list", {}),
        ("prompts/list", {}),
        ("resources/read", {"uri": "oauth://me"}),
        ("resources/read", {"uri": "oauth://compliance"}),
        ("resources/read", {"uri": "ui://oauth/compliance.html"}),
    ]
    for method, params in asked:
        reply = await ask(http, era, method, params, token)
        found = result(reply)
        assert "public" not in reply.headers.get("cache-control", "")
        if era == "modern":
            assert found["cacheScope"] == "private", method
            assert isinstance(found["ttlMs"], int), method
