"""An access token is for one resource, whatever its grant holds (RFC 9068 section 3, RFC 8707 section 2.2)."""

from contextlib import AsyncExitStack

import pytest

from tests.conftest import MakeServer
from tests.flow.test_client_credentials import claims_of
from tests.support.assertions import operators, posted
from tests.support.browser import Browser
from tests.support.databases import both_engines
from tests.support.mcp_http import call, result, token_for
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import assert_error, opens, rows
from tests.support.server import Running

pytestmark = both_engines
ROOT, OTHER = "https://mine.example", "https://other.example/api"


@pytest.mark.requirement("AS-38", "AS-40", "RS-10")
async def test_a_grant_for_two_resources_gives_tokens_for_one_each(
    make_server: MakeServer, closing: AsyncExitStack
) -> None:
    async with make_server(MCP_OAUTH_RESOURCE_URI=f"{ROOT} {OTHER}") as server:
        browser, client = Browser(server.url), OAuthClient(server)
        closing.push_async_callback(browser.close)
        closing.push_async_callback(client.close)
        for asked in ([ROOT, OTHER], [OTHER, ROOT]):
            tokens = await client.tokens(browser, resource=asked)
            assert (await claims_of(client.http, tokens["access_token"]))["aud"] == asked[0]
            for given, audience in ((asked[1], asked[1]), (None, asked[0])):
                reply = await client.refresh(tokens["refresh_token"], resource=given)
                assert reply.status_code == 200, reply.text
                tokens = reply.json()
                assert (await claims_of(client.http, tokens["access_token"]))["aud"] == audience


@pytest.mark.requirement("AS-40", "attack-46")
async def test_a_token_request_for_two_resources_is_refused_and_uses_nothing_up(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    both, pkce = [server.url, f"{server.url}/mcp"], Pkce.new()
    code = await client.code(browser, pkce, resource=both)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": pkce.verifier}
    before = rows(server)
    assert_error(await client.token(**form, redirect_uri=client.redirect_uri, resource=both), 400, "invalid_target")
    assert rows(server) == before
    # One resource that is named twice is one resource.
    reply = await client.token(**form, redirect_uri=client.redirect_uri, resource=[both[1], both[1]])
    assert reply.status_code == 200, reply.text
    assert (await claims_of(client.http, reply.json()["access_token"]))["aud"] == both[1]
    refresh, before = reply.json()["refresh_token"], rows(server)
    again = {"grant_type": "refresh_token", "refresh_token": refresh}
    assert_error(await client.token(**again, resource=both), 400, "invalid_target")
    assert rows(server) == before
    assert (await client.refresh(refresh)).status_code == 200
    machine = await operators(closing, server)
    before = rows(server)
    refused = await posted(machine, "/oauth/token", grant_type="client_credentials", resource=both)
    assert_error(refused, 400, "invalid_target")
    assert rows(server) == before


@pytest.mark.requirement("RS-09", "RS-10", "attack-63")
async def test_a_token_with_two_audiences_opens_nothing_and_a_refresh_replaces_it(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    tokens = await client.tokens(browser, resource=[server.url, f"{server.url}/mcp"], scope="openid mcp:read")
    two = await token_for(
        server,
        "openid",
        "mcp:read",
        audience=[server.url, f"{server.url}/mcp"],
        grant_id=(await claims_of(client.http, tokens["access_token"]))["grant_id"],
    )
    assert (await claims_of(client.http, two))["aud"] == [server.url, f"{server.url}/mcp"]
    assert await opens(server, two) == (401, 401)
    userinfo = await client.http.get("/oauth/userinfo", headers={"Authorization": f"Bearer {two}"})
    assert (userinfo.status_code, userinfo.json()["error"]) == (401, "invalid_token")
    api = await operators(closing, server, resources=(server.url,))
    assert (await posted(api, "/oauth/introspect", token=two)).json() == {"active": False}
    fresh = (await client.refresh(tokens["refresh_token"])).json()["access_token"]
    assert await opens(server, fresh) == (200, 200)
    told = await call(client.http, "modern", "mcp_oauth_validate_token", fresh, token=two)
    verdict = result(told)["structuredContent"]
    assert (verdict["valid"], verdict["failed_check"]) == (False, "audience")
