"""What may be asked for less of: scopes by their hierarchy, the resource by its narrower name."""

import pytest

from tests.support.browser import Browser
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import assert_error
from tests.support.server import Running


@pytest.mark.requirement("RS-19", "AS-39")
async def test_a_grant_of_admin_can_be_refreshed_for_the_scopes_it_includes(
    browser: Browser, client: OAuthClient
) -> None:
    tokens = await client.tokens(browser, scope="mcp:admin")
    assert tokens["scope"] == "mcp:admin"
    narrowed = await client.refresh(tokens["refresh_token"], scope="mcp:read")
    assert (narrowed.status_code, narrowed.json()["scope"]) == (200, "mcp:read")
    again = await client.refresh(narrowed.json()["refresh_token"])
    assert again.json()["scope"] == "mcp:admin"


@pytest.mark.requirement("attack-46")
async def test_a_grant_of_read_cannot_be_refreshed_for_the_scopes_that_include_it(
    browser: Browser, client: OAuthClient
) -> None:
    tokens = await client.tokens(browser, scope="mcp:read")
    assert_error(await client.refresh(tokens["refresh_token"], scope="mcp:write"), 400, "invalid_scope")


@pytest.mark.requirement("AS-40", "RS-10")
async def test_a_code_for_the_whole_resource_may_be_redeemed_for_mcp_alone(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    reply = await client.redeem(code, pkce, resource=f"{server.url}/mcp")
    assert reply.status_code == 200, reply.text
    bearer = {"Authorization": f"Bearer {reply.json()['access_token']}"}
    assert (await client.http.get("/oauth/test", headers=bearer)).status_code == 401
    assert (await client.http.post("/mcp", headers=bearer, json={})).status_code == 400


@pytest.mark.requirement("attack-37")
async def test_two_authorization_headers_authenticate_nobody(server: Running) -> None:
    basic = "Basic bWNwLWRvY2tlci1zZXJ2ZXItZGVmYXVsdDp4"
    async with server.client(headers=[("Authorization", basic), ("Authorization", basic)]) as http:
        for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
            form = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"}
            assert_error(await http.post(path, data=form), 400, "invalid_request")
