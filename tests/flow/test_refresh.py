"""A refresh token rotates, ages, and never gives more than its person may be granted (RFC 6749 section 6)."""

from contextlib import AsyncExitStack

import pytest

from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.databases import both_engines
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import assert_error, audited, opens, registered, rows
from tests.support.people import owner_of, set_ceiling, set_disabled
from tests.support.server import Running

pytestmark = both_engines


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
@pytest.mark.requirement("AS-27", "AS-28")
async def test_each_refresh_gives_a_new_refresh_token(
    server: Running, browser: Browser, closing: AsyncExitStack, method: str
) -> None:
    client = await registered(closing, server, token_endpoint_auth_method=method)
    tokens = await client.tokens(browser)
    seen = {tokens["refresh_token"]}
    for _ in range(4):
        reply = await client.refresh(tokens["refresh_token"])
        assert reply.status_code == 200, reply.text
        tokens = reply.json()
        assert tokens["refresh_token"] not in seen
        seen.add(tokens["refresh_token"])
        assert await opens(server, tokens["access_token"]) == (200, 200)
    assert [event[:3] for event in audited(server)[-4:]] == [("token.refreshed", "success", client.client_id)] * 4


@pytest.mark.parametrize("scope", ["mcp:read", "mcp:read offline_access"])
@pytest.mark.requirement("AS-28")
async def test_a_refresh_token_comes_with_and_without_offline_access(
    browser: Browser, client: OAuthClient, scope: str
) -> None:
    tokens = await client.tokens(browser, scope=scope)
    assert tokens["scope"] == scope
    assert (await client.refresh(tokens["refresh_token"])).json()["scope"] == scope


@pytest.mark.requirement("AS-27", "AS-35")
async def test_a_refresh_token_that_lies_idle_expires(make_server: MakeServer) -> None:
    async with make_server(MCP_OAUTH_REFRESH_TOKEN_EXPIRY="600") as server:
        browser, client = Browser(server.url), OAuthClient(server)
        token = (await client.tokens(browser))["refresh_token"]
        for _ in range(3):
            server.clock.advance(599)
            reply = await client.refresh(token)
            assert reply.status_code == 200, reply.text
            token = reply.json()["refresh_token"]
        server.clock.advance(600)
        before = rows(server)
        assert_error(await client.refresh(token), 400, "invalid_grant")
        assert rows(server) == before
        await browser.close()
        await client.close()


@pytest.mark.requirement("AS-27", "AS-35")
async def test_no_family_outlives_its_greatest_age(make_server: MakeServer) -> None:
    async with make_server(
        MCP_OAUTH_REFRESH_TOKEN_EXPIRY="600", MCP_OAUTH_REFRESH_TOKEN_MAX_AGE="1000", MCP_OAUTH_TOKEN_EXPIRY="300"
    ) as server:
        browser, client = Browser(server.url), OAuthClient(server)
        token = (await client.tokens(browser))["refresh_token"]
        for seconds in (500, 499):
            server.clock.advance(seconds)
            reply = await client.refresh(token)
            assert reply.status_code == 200, reply.text
            token = reply.json()["refresh_token"]
        server.clock.advance(1)
        assert_error(await client.refresh(token), 400, "invalid_grant")
        await browser.close()
        await client.close()


@pytest.mark.requirement("AS-01", "AS-27")
async def test_a_narrower_scope_is_for_one_access_token_only(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    first = await client.tokens(browser, scope="openid mcp:read mcp:write")
    narrow = (await client.refresh(first["refresh_token"], scope="mcp:read")).json()
    assert narrow["scope"] == "mcp:read"
    full = (await client.refresh(narrow["refresh_token"])).json()
    assert full["scope"] == "openid mcp:read mcp:write"
    assert (await client.refresh(full["refresh_token"], scope="mcp:write openid")).json()["scope"] == "mcp:write openid"


@pytest.mark.requirement("AS-35", "AS-39")
async def test_a_lowered_ceiling_ends_old_access_tokens_and_narrows_the_next_refresh(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    owner = await owner_of(server)
    tokens = await client.tokens(browser, scope="openid mcp:read mcp:write mcp:admin")
    await set_ceiling(server, owner, "mcp:read")
    assert await opens(server, tokens["access_token"]) == (401, 401)
    before = rows(server)
    assert_error(await client.refresh(tokens["refresh_token"], scope="mcp:admin"), 400, "invalid_scope")
    assert rows(server) == before
    tokens = (await client.refresh(tokens["refresh_token"])).json()
    assert tokens["scope"] == "openid mcp:read"
    assert await opens(server, tokens["access_token"]) == (200, 200)
    # Raised again, the consent that still stands is honoured again.
    await set_ceiling(server, owner, "mcp:read", "mcp:write")
    assert (await client.refresh(tokens["refresh_token"])).json()["scope"] == "openid mcp:read mcp:write"


@pytest.mark.requirement("AS-35", "AS-39")
async def test_a_refresh_that_may_give_nothing_any_more_is_refused(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    tokens = await client.tokens(browser, scope="mcp:admin")
    await set_ceiling(server, await owner_of(server), "mcp:read")
    before = rows(server)
    assert_error(await client.refresh(tokens["refresh_token"]), 400, "invalid_scope")
    assert rows(server) == before


@pytest.mark.requirement("AS-35", "AS-39")
async def test_a_ceiling_lowered_between_code_and_token_counts(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce, scope="mcp:read mcp:admin")
    await set_ceiling(server, await owner_of(server), "mcp:read")
    assert (await client.redeem(code, pkce)).json()["scope"] == "mcp:read"


@pytest.mark.requirement("AS-35", "attack-64")
async def test_a_disabled_person_gets_no_tokens(server: Running, browser: Browser, client: OAuthClient) -> None:
    owner = await owner_of(server)
    pkce = Pkce.new()
    tokens = await client.tokens(browser)
    code = await client.code(browser, pkce)
    await set_disabled(server, owner, disabled=True)
    assert await opens(server, tokens["access_token"]) == (401, 401)
    before = rows(server)
    assert_error(await client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    assert_error(await client.redeem(code, pkce), 400, "invalid_grant")
    assert rows(server) == before


@pytest.mark.requirement("regression-3", "AS-27")
async def test_refresh_tokens_outlive_a_restart_and_obey_the_new_settings(make_server: MakeServer) -> None:
    async with make_server() as server:
        browser, client = Browser(server.url), OAuthClient(server)
        token = (await client.tokens(browser, scope="mcp:read mcp:write"))["refresh_token"]
        await browser.close()
        await client.close()
    async with make_server(MCP_OAUTH_SCOPE="mcp:read") as server:
        client = OAuthClient(server)
        reply = await client.refresh(token)
        assert reply.status_code == 200, reply.text
        assert reply.json()["scope"] == "mcp:read"
        await client.close()
