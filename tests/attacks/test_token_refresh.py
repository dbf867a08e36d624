"""A stolen refresh token is noticed, and a lost answer is not mistaken for theft (RFC 9700 section 4.14)."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.oauth import DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.outside import assert_error, logged, opens, registered, rows
from tests.support.server import Running


@pytest.mark.requirement("attack-44", "AS-27")
async def test_reuse_after_the_grace_window_ends_the_whole_family_and_is_recorded(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    first = await client.tokens(browser)
    second = (await client.refresh(first["refresh_token"])).json()
    server.clock.advance(31)
    assert_error(await client.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert_error(await client.refresh(second["refresh_token"]), 400, "invalid_grant")
    assert await opens(server, first["access_token"]) == (401, 401)
    assert await opens(server, second["access_token"]) == (401, 401)
    ((actor, client_id, _, detail),) = [row for row in logged(server, "token.refreshed") if "reused" in row[3]]
    assert (actor, client_id) == ("admin", DEFAULT_CLIENT)
    assert "revoked" in detail


@pytest.mark.requirement("attack-44", "AS-27")
async def test_reuse_ends_only_its_own_family(server: Running, browser: Browser, client: OAuthClient) -> None:
    stolen, other = await client.tokens(browser), await client.tokens(browser)
    await client.refresh(stolen["refresh_token"])
    server.clock.advance(31)
    assert_error(await client.refresh(stolen["refresh_token"]), 400, "invalid_grant")
    assert await opens(server, other["access_token"]) == (200, 200)
    assert (await client.refresh(other["refresh_token"])).status_code == 200


@pytest.mark.requirement("attack-44", "AS-27")
async def test_the_grace_ends_with_the_first_use_of_the_successor(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    first = await client.tokens(browser)
    second = (await client.refresh(first["refresh_token"])).json()
    third = (await client.refresh(second["refresh_token"])).json()
    assert_error(await client.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert await opens(server, third["access_token"]) == (401, 401)
    assert_error(await client.refresh(third["refresh_token"]), 400, "invalid_grant")


@pytest.mark.parametrize("seconds", [0, 30])
@pytest.mark.requirement("attack-45")
async def test_a_lost_answer_is_asked_for_again_within_the_grace_window(
    server: Running, browser: Browser, client: OAuthClient, seconds: int
) -> None:
    first = await client.tokens(browser)
    second = (await client.refresh(first["refresh_token"])).json()
    server.clock.advance(seconds)
    again = await client.refresh(first["refresh_token"])
    assert again.status_code == 200, again.text
    assert again.json()["refresh_token"] == second["refresh_token"]
    assert again.json()["access_token"] != second["access_token"]
    assert await opens(server, again.json()["access_token"]) == (200, 200)
    assert len(rows(server)["refresh_tokens"]) == 2
    assert (await client.refresh(second["refresh_token"])).status_code == 200


@pytest.mark.requirement("attack-45")
async def test_32_parallel_refreshes_make_one_lineage(server: Running, browser: Browser, client: OAuthClient) -> None:
    first = await client.tokens(browser)
    replies = await asyncio.gather(*(client.refresh(first["refresh_token"]) for _ in range(32)))
    assert {reply.status_code for reply in replies} == {200}
    successors = {reply.json()["refresh_token"] for reply in replies}
    assert len(successors) == 1
    assert len({reply.json()["access_token"] for reply in replies}) == 32
    assert len(rows(server)["refresh_tokens"]) == 2
    assert (await client.refresh(successors.pop())).status_code == 200
    assert len(rows(server)["grants"]) == 1


@pytest.mark.requirement("attack-44", "attack-45")
async def test_without_a_grace_window_one_of_32_parallel_refreshes_wins_and_the_family_ends(
    make_server: MakeServer, closing: AsyncExitStack
) -> None:
    async with make_server(MCP_OAUTH_REFRESH_GRACE="0") as server:
        browser, client = Browser(server.url), OAuthClient(server)
        closing.push_async_callback(browser.close)
        closing.push_async_callback(client.close)
        first = await client.tokens(browser)
        replies = await asyncio.gather(*(client.refresh(first["refresh_token"]) for _ in range(32)))
        won = [reply for reply in replies if reply.status_code == 200]
        assert len(won) == 1
        for reply in replies:
            if reply is not won[0]:
                assert_error(reply, 400, "invalid_grant")
        assert await opens(server, won[0].json()["access_token"]) == (401, 401)
        assert_error(await client.refresh(won[0].json()["refresh_token"]), 400, "invalid_grant")


@pytest.mark.requirement("attack-45")
async def test_the_grace_window_can_be_set(make_server: MakeServer, closing: AsyncExitStack) -> None:
    async with make_server(MCP_OAUTH_REFRESH_GRACE="120") as server:
        browser, client = Browser(server.url), OAuthClient(server)
        closing.push_async_callback(browser.close)
        closing.push_async_callback(client.close)
        first = await client.tokens(browser)
        second = (await client.refresh(first["refresh_token"])).json()
        server.clock.advance(120)
        again = await client.refresh(first["refresh_token"])
        assert again.json()["refresh_token"] == second["refresh_token"]
        server.clock.advance(1)
        assert_error(await client.refresh(first["refresh_token"]), 400, "invalid_grant")


@pytest.mark.requirement("attack-46")
async def test_a_refresh_token_is_of_no_use_to_another_client(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    thief = await registered(closing, server)
    armed = await registered(closing, server, token_endpoint_auth_method="client_secret_post")
    first = await client.tokens(browser)
    before = rows(server)
    for other in (thief, armed):
        assert_error(await other.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert rows(server) == before
    second = await client.refresh(first["refresh_token"])
    assert second.status_code == 200
    server.clock.advance(31)
    before = rows(server)
    # Nor can another client end the family by presenting a token that was used up long ago.
    assert_error(await thief.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert rows(server) == before
    assert (await client.refresh(second.json()["refresh_token"])).status_code == 200


@pytest.mark.parametrize("scope", ["mcp:read mcp:admin", "mcp:read openid", "mcp:read unheard-of"])
@pytest.mark.requirement("attack-46")
async def test_a_refresh_cannot_widen_the_scope_and_does_not_rotate(
    server: Running, browser: Browser, client: OAuthClient, scope: str
) -> None:
    first = await client.tokens(browser, scope="mcp:read mcp:write", consent=["mcp:read"])
    assert first["scope"] == "mcp:read"
    before = rows(server)
    assert_error(await client.refresh(first["refresh_token"], scope=scope), 400, "invalid_scope")
    assert rows(server) == before
    assert (await client.refresh(first["refresh_token"])).json()["scope"] == "mcp:read"


@pytest.mark.parametrize("chosen", [["mcp:read"], ["mcp:read", "openid"], ["mcp:write"]])
@pytest.mark.requirement("attack-46", "AS-39")
async def test_a_refresh_may_repeat_the_scope_of_the_request_and_gets_what_was_granted(
    server: Running, browser: Browser, client: OAuthClient, chosen: list[str]
) -> None:
    asked = "openid mcp:read mcp:write unheard-of"
    tokens = await client.tokens(browser, scope=asked, consent=chosen)
    granted = set(tokens["scope"].split())
    assert granted == set(chosen)
    allowed = granted | ({"mcp:read"} if "mcp:write" in granted else set())
    for scope, expected in ((asked, allowed), (None, granted), ("mcp:write mcp:read", allowed - {"openid"})):
        reply = await client.refresh(tokens["refresh_token"], scope=scope)
        assert reply.status_code == 200, reply.text
        tokens = reply.json()
        assert set(tokens["scope"].split()) == expected
    before = rows(server)
    for scope in (f"{asked} mcp:admin", "mcp:admin", "unheard-of", *({"openid"} - granted)):
        assert_error(await client.refresh(tokens["refresh_token"], scope=scope), 400, "invalid_scope")
    assert rows(server) == before


@pytest.mark.parametrize("scope", ['mcp:read "', "mcp:read \\", "mcp:read\tmcp:write", "mcp:réad", " "])
@pytest.mark.requirement("attack-46")
async def test_a_malformed_scope_is_refused_without_rotating(
    server: Running, browser: Browser, client: OAuthClient, scope: str
) -> None:
    first = await client.tokens(browser)
    before = rows(server)
    assert_error(await client.refresh(first["refresh_token"], scope=scope), 400, "invalid_scope")
    assert rows(server) == before


@pytest.mark.requirement("attack-46", "AS-40")
async def test_a_refresh_for_a_foreign_resource_is_refused_without_rotating(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    first = await client.tokens(browser, resource=f"{server.url}/mcp")
    before = rows(server)
    for resource in (
        "https://evil.example/mcp",
        f"{server.url}/mcp-evil",
        f"{server.url}.evil.example",
        f"{server.url}/mcp#fragment",
        "/mcp",
        "not a uri",
        [f"{server.url}/mcp", "https://evil.example/mcp"],
    ):
        reply = await client.token(grant_type="refresh_token", refresh_token=first["refresh_token"], resource=resource)
        assert_error(reply, 400, "invalid_target")
    assert rows(server) == before
    assert (await client.refresh(first["refresh_token"])).status_code == 200


@pytest.mark.requirement("attack-46", "AS-40")
async def test_a_code_is_bound_to_its_resource(make_server: MakeServer, closing: AsyncExitStack) -> None:
    other = "https://other.example/api"
    async with make_server(MCP_OAUTH_RESOURCE_URI=f"https://mine.example {other}") as server:
        browser, client = Browser(server.url), OAuthClient(server)
        closing.push_async_callback(browser.close)
        closing.push_async_callback(client.close)
        pkce = Pkce.new()
        code = await client.code(browser, pkce, resource="https://mine.example")
        before = rows(server)
        for resource in (other, "https://evil.example"):
            assert_error(await client.redeem(code, pkce, resource=resource), 400, "invalid_target")
        assert rows(server) == before
        reply = await client.redeem(code, pkce, resource="https://mine.example")
        assert reply.status_code == 200, reply.text
        refused = await client.refresh(reply.json()["refresh_token"], resource=other)
        assert_error(refused, 400, "invalid_target")
