"""Each kind of token is good for its own purpose, and each resource for its own tokens (RFC 9068 section 4)."""

from typing import Any

import pytest

from tests.support.browser import Browser
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import assert_error, bearer, opens, rows
from tests.support.server import Running


async def everything(client: OAuthClient, browser: Browser, **params: Any) -> dict[str, Any]:
    """A token response with an ID token, and the code it came from, already used."""
    pkce = Pkce.new()
    code = await client.code(browser, pkce, scope="openid mcp:read", **params)
    return {**(await client.redeem(code, pkce)).json(), "code": code}


@pytest.mark.parametrize("kind", ["refresh_token", "id_token", "code"])
@pytest.mark.requirement("attack-47", "regression-4", "RS-10")
async def test_no_other_token_is_an_access_token(
    server: Running, browser: Browser, client: OAuthClient, kind: str
) -> None:
    tokens = await everything(client, browser)
    assert await opens(server, tokens["access_token"]) == (200, 200)
    assert await opens(server, tokens[kind]) == (401, 401)
    for path in ("/oauth/test", "/oauth/userinfo"):
        reply = await client.http.get(path, headers=bearer(tokens[kind]))
        assert reply.status_code == 401
        assert reply.json()["error"] == "invalid_token"
        assert 'error="invalid_token"' in reply.headers["www-authenticate"]


@pytest.mark.parametrize("kind", ["access_token", "id_token", "code"])
@pytest.mark.requirement("attack-47")
async def test_no_other_token_is_a_refresh_token(
    server: Running, browser: Browser, client: OAuthClient, kind: str
) -> None:
    tokens = await everything(client, browser)
    before = rows(server)
    assert_error(await client.refresh(tokens[kind]), 400, "invalid_grant")
    assert rows(server) == before


@pytest.mark.parametrize("kind", ["access_token", "id_token", "refresh_token"])
@pytest.mark.requirement("attack-47")
async def test_no_token_is_a_code(server: Running, browser: Browser, client: OAuthClient, kind: str) -> None:
    tokens = await everything(client, browser)
    before = rows(server)
    assert_error(await client.redeem(tokens[kind], Pkce.new()), 400, "invalid_grant")
    assert rows(server) == before


@pytest.mark.requirement("regression-4", "AS-27")
async def test_the_refresh_grant_is_advertised_and_works(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
        assert "refresh_token" in (await client.http.get(path)).json()["grant_types_supported"]
    first = await client.tokens(browser)
    second = await client.refresh(first["refresh_token"])
    assert second.status_code == 200, second.text
    assert await opens(server, second.json()["access_token"]) == (200, 200)


@pytest.mark.parametrize(
    ("suffixes", "audience", "status"),
    [
        ([], [""], (200, 200)),
        ([""], [""], (200, 200)),
        (["/"], [""], (200, 200)),
        (["/mcp"], ["/mcp"], (200, 401)),
        (["", "/mcp"], [""], (200, 200)),
        (["/mcp", ""], ["/mcp"], (200, 401)),
    ],
)
@pytest.mark.requirement("RS-10", "AS-38", "AS-40")
async def test_a_token_opens_the_resource_it_was_asked_for(
    server: Running,
    browser: Browser,
    client: OAuthClient,
    suffixes: list[str],
    audience: list[str],
    status: tuple[int, int],
) -> None:
    tokens = await client.tokens(browser, resource=[server.url + suffix for suffix in suffixes])
    assert await opens(server, tokens["access_token"]) == status
    refreshed = (await client.refresh(tokens["refresh_token"])).json()
    assert await opens(server, refreshed["access_token"]) == status
    if status[1] == 200:
        shown = (await client.http.get("/oauth/test", headers=bearer(tokens["access_token"]))).json()["aud"]
        assert [shown] == [server.url + suffix for suffix in audience]


@pytest.mark.requirement("RS-10", "AS-38")
async def test_userinfo_takes_a_token_of_either_name(server: Running, browser: Browser, client: OAuthClient) -> None:
    for resource in (server.url, f"{server.url}/mcp"):
        tokens = await everything(client, browser, resource=resource)
        reply = await client.http.get("/oauth/userinfo", headers=bearer(tokens["access_token"]))
        assert reply.status_code == 200, reply.text


@pytest.mark.requirement("AS-40", "AS-38")
async def test_of_two_resources_a_token_request_may_choose_one(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    both = [server.url, f"{server.url}/mcp"]
    pkce = Pkce.new()
    code = await client.code(browser, pkce, resource=both)
    tokens = (await client.redeem(code, pkce, resource=both[1])).json()
    assert await opens(server, tokens["access_token"]) == (200, 401)
    narrow = (await client.refresh(tokens["refresh_token"], resource=both[1])).json()
    assert await opens(server, narrow["access_token"]) == (200, 401)
    full = (await client.refresh(narrow["refresh_token"])).json()
    assert await opens(server, full["access_token"]) == (200, 200)
