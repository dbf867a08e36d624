"""mcp_oauth_register_client registers as /oauth/register does, and stdio and HTTP share one store."""

import json
from typing import Any

import pytest
from fastmcp import Client

from tests.support.browser import Browser
from tests.support.mcp_http import MODES, client_ids, mcp_client, token_for
from tests.support.oauth import OAuthClient
from tests.support.server import Running
from tests.support.stdio import stdio_client

TOOL = "mcp_oauth_register_client"
CALLBACK = "http://localhost:3000/callback"
METADATA: dict[str, Any] = {
    "redirect_uris": [CALLBACK, "https://app.example/cb"],
    "client_name": "Registered twice",
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    "response_types": ["code"],
    "scope": "mcp:read unknown openid",
    "client_uri": "https://app.example",
    "contacts": ["a@app.example"],
    "software_id": "s-1",
    "software_version": "2",
}
REFUSED: list[dict[str, Any]] = [
    {"redirect_uris": ["http://app.example/cb"]},
    {"redirect_uris": ["https://app.example/cb#fragment"]},
    {"redirect_uris": ["javascript:alert(1)"]},
    {"redirect_uris": []},
    {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt"},
    {"redirect_uris": [CALLBACK], "grant_types": ["client_credentials"]},
    {"redirect_uris": [CALLBACK], "logo_uri": "javascript:alert(1)"},
    {"redirect_uris": [CALLBACK], "application_type": "robot"},
]
# An administrator's client is the operator's, who changes it; one that registered itself does so itself (RFC 7592).
ITS_OWN = {"registration_client_uri", "registration_access_token"}
OWN = ("client_id", "client_id_issued_at", "client_secret", *ITS_OWN)


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
@pytest.mark.requirement("AS-21")
async def test_the_tool_and_the_endpoint_answer_alike(shared: Running, admin: Client[Any], method: str) -> None:
    metadata = {**METADATA, "token_endpoint_auth_method": method}
    async with shared.client() as http:
        by_http = (await http.post("/oauth/register", json=metadata)).json()
    result = await admin.call_tool(TOOL, metadata)
    by_tool = result.structured_content
    assert {k: v for k, v in by_tool.items() if k not in OWN} == {k: v for k, v in by_http.items() if k not in OWN}
    assert ("client_secret" in by_tool) == ("client_secret" in by_http) == (method != "none")
    assert ITS_OWN & set(by_http) == (ITS_OWN if method != "none" else set())
    assert not ITS_OWN & set(by_tool)
    assert by_tool["client_id"] != by_http["client_id"]
    assert by_tool["client_id"] in result.content[0].text


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.requirement("AS-21", "attack-51", "attack-73")
async def test_whoever_may_write_registers_as_anybody_does(shared: Running, mode: str) -> None:
    secretive = {**METADATA, "token_endpoint_auth_method": "client_secret_post"}
    async with mcp_client(shared, await token_for(shared, "mcp:write"), mode) as writer, shared.client() as http:
        by_http = (await http.post("/oauth/register", json=METADATA)).json()
        assert (await writer.call_tool(TOOL, METADATA)).structured_content == by_http  # one shared client
        result = await writer.call_tool(TOOL, secretive)
        made = result.structured_content
        assert made["registration_access_token"] not in result.content[0].text
        assert "client_secret and registration_access_token" in result.content[0].text
        headers = {"Authorization": f"Bearer {made['registration_access_token']}"}
        assert (await http.get(made["registration_client_uri"], headers=headers)).status_code == 200
    stored = await shared.services.clients.find(made["client_id"])
    assert stored is not None
    assert (stored.registered_from, stored.unused_until) == ("127.0.0.1", shared.clock() + 24 * 3600)


@pytest.mark.parametrize("metadata", REFUSED, ids=json.dumps)
@pytest.mark.requirement("attack-52", "attack-77")
async def test_what_the_endpoint_refuses_the_tool_refuses_with_the_same_error(
    shared: Running, admin: Client[Any], metadata: dict[str, Any]
) -> None:
    before = await client_ids(shared)
    async with shared.client() as http:
        reply = await http.post("/oauth/register", json=metadata)
    result = await admin.call_tool(TOOL, metadata, raise_on_error=False)
    assert (reply.status_code, result.is_error) == (400, True)
    assert result.content[0].text == f"{reply.json()['error']}: {reply.json()['error_description']}"
    assert await client_ids(shared) == before


@pytest.mark.requirement("attack-73", "AS-35")
async def test_a_new_secret_is_returned_once_works_and_is_never_shown_again(
    shared: Running, admin: Client[Any]
) -> None:
    sent = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post"}
    result = await admin.call_tool(TOOL, sent)
    made = result.structured_content
    assert len(made["client_secret"]) >= 43
    assert made["client_secret_expires_at"] == 0
    assert made["client_secret"] not in result.content[0].text
    for uri in (f"oauth://clients/{made['client_id']}", "oauth://clients", "oauth://audit"):
        assert made["client_secret"] not in (await admin.read_resource(uri))[0].text
    client = OAuthClient(shared, made["client_id"], CALLBACK, made["client_secret"], "client_secret_post")
    browser = Browser(shared.url)
    assert (await client.tokens(browser))["scope"] == "mcp:read mcp:write"
    await browser.close()
    await client.close()


@pytest.mark.requirement("RS-01", "TR-16")
async def test_the_operator_on_stdio_holds_every_scope_and_needs_no_token(shared: Running) -> None:
    async with stdio_client(shared) as client:
        assert len(await client.list_tools()) == 6
        assert len(await client.list_resources()) == 11
        me = json.loads((await client.read_resource("oauth://me"))[0].text)
        assert me["local_operator"] is True
        assert "events" in json.loads((await client.read_resource("oauth://audit"))[0].text)
        configuration = (await client.call_tool("mcp_oauth_get_configuration")).structured_content
        # The issuer that the HTTP server recorded, not one derived from this process's own port.
        assert (configuration["issuer"], configuration["withheld"]) == (shared.url, [])


@pytest.mark.requirement("RS-01", "RS-09")
async def test_a_token_issued_over_http_is_judged_over_stdio_and_a_client_from_stdio_signs_in_over_http(
    shared: Running,
) -> None:
    browser, default = Browser(shared.url), OAuthClient(shared)
    async with stdio_client(shared) as operator:
        tokens = await default.tokens(browser, scope="mcp:read")
        judge = {"token": tokens["access_token"], "required_scopes": "mcp:read"}
        verdict = await operator.call_tool("mcp_oauth_validate_token", judge)
        assert verdict.structured_content["valid"] is True
        assert verdict.structured_content["claims"]["client_id"] == default.client_id
        made = (await operator.call_tool(TOOL, {"redirect_uris": [CALLBACK]})).structured_content
        client = OAuthClient(shared, made["client_id"], CALLBACK)
        own = await client.tokens(browser)
        opened = await client.http.get("/oauth/test", headers={"Authorization": f"Bearer {own['access_token']}"})
        assert (opened.status_code, opened.json()["client_id"]) == (200, made["client_id"])
        await client.close()
    await default.close()
    await browser.close()
