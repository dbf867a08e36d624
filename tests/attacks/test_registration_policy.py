"""A registration gives a client a name, never a right (RFC 7591 section 5)."""

from typing import Any

import pytest

from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.outside import assert_error, bearer, opens, rows
from tests.support.people import add_person
from tests.support.registration import assert_challenged
from tests.support.server import Running


async def register(client: OAuthClient, **metadata: Any) -> Any:
    return await client.http.post("/oauth/register", json={"redirect_uris": [CALLBACK], **metadata})


@pytest.mark.requirement("attack-53")
async def test_a_registered_admin_scope_gives_nobody_more_than_their_ceiling(
    server: Running, client: OAuthClient
) -> None:
    await add_person(server, "ada", ("mcp:read",))
    greedy = await OAuthClient.register(server, scope="mcp:read mcp:write mcp:admin root")
    browser = Browser(server.url, "ada")
    for scope in (None, "mcp:read mcp:admin"):
        tokens = await greedy.tokens(browser, scope=scope)
        assert tokens["scope"] == "mcp:read"
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "resources/read",
            "params": {"uri": "oauth://clients"},
        }
        headers = {**bearer(tokens["access_token"]), "Accept": "application/json, text/event-stream"}
        assert (await client.http.post("/mcp", json=call, headers=headers)).status_code == 403
    await browser.close()
    await greedy.close()


@pytest.mark.requirement("attack-53", "attack-43")
async def test_grant_types_that_are_not_offered_are_dropped_and_refused_when_none_is_left(
    server: Running, client: OAuthClient
) -> None:
    reply = await register(
        client, grant_types=["client_credentials", "refresh_token", "password", "implicit", "authorization_code"]
    )
    assert reply.status_code == 201, reply.text
    assert sorted(reply.json()["grant_types"]) == ["authorization_code", "refresh_token"]
    before = rows(server)
    for grant_types in (["client_credentials"], ["password", "implicit"], [], "authorization_code", [1], {}):
        assert_error(await register(client, grant_types=grant_types), 400, "invalid_client_metadata")
    for response_types in (["token"], ["id_token", "code token"], [], "code", {}):
        assert_error(await register(client, response_types=response_types), 400, "invalid_client_metadata")
    assert rows(server) == before


@pytest.mark.requirement("attack-53")
async def test_a_client_chooses_neither_its_id_nor_its_secret(server: Running, client: OAuthClient) -> None:
    before = rows(server)["clients"]
    chosen = {
        "client_id": DEFAULT_CLIENT,
        "client_secret": "chosen-by-the-client",
        "client_id_issued_at": 1,
        "client_secret_expires_at": 1,
        "source": "configured",
        "user_id": "admin",
    }
    public = (await register(client, **chosen)).json()
    assert public["client_id"] != DEFAULT_CLIENT
    assert "client_secret" not in public
    assert "client_secret_expires_at" not in public
    assert not {"source", "user_id"} & set(public)
    assert public["client_id_issued_at"] == int(server.clock())
    confidential = (await register(client, **chosen, token_endpoint_auth_method="client_secret_post")).json()
    assert confidential["client_secret"] != chosen["client_secret"]
    assert confidential["client_secret_expires_at"] == 0
    assert confidential["client_id"] not in {DEFAULT_CLIENT, public["client_id"]}
    assert [row for row in rows(server)["clients"] if row in before] == before
    assert len(rows(server)["clients"]) == len(before) + 2


@pytest.mark.requirement("attack-53", "AS-21", "AS-22")
async def test_registration_can_be_switched_off(make_server: MakeServer) -> None:
    async with make_server(MCP_OAUTH_DYNAMIC_REGISTRATION="false") as server:
        browser, client = Browser(server.url), OAuthClient(server)
        before = rows(server)
        assert_challenged(await register(client), error=False)
        assert_challenged(await register(client, redirect_uris=["javascript:alert(1)"]), error=False)
        assert rows(server) == before
        for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
            assert "registration_endpoint" not in (await client.http.get(path)).json()
        tokens = await client.tokens(browser)  # the pre-registered client works on
        assert await opens(server, tokens["access_token"]) == (200, 200)
        # An access token, however strong, does not open the endpoint.
        tokens = await client.tokens(browser, scope="mcp:read mcp:admin")
        reply = await client.http.post(
            "/oauth/register", json={"redirect_uris": [CALLBACK]}, headers=bearer(tokens["access_token"])
        )
        assert_challenged(reply)
        await browser.close()
        await client.close()


@pytest.mark.requirement("attack-53", "AS-36")
async def test_no_client_is_excused_from_pkce(server: Running, browser: Browser) -> None:
    client = await OAuthClient.register(server, token_endpoint_auth_method="client_secret_post")
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    before = rows(server)
    assert_error(await client.redeem(code, pkce, code_verifier=None), 400, "invalid_request")
    assert_error(await client.redeem(code, pkce, code_verifier=pkce.verifier[:42]), 400, "invalid_grant")
    assert_error(await client.redeem(code, pkce, code_verifier="+" * 43), 400, "invalid_grant")
    assert_error(await client.redeem(code, pkce, code_verifier="a" * 129), 400, "invalid_grant")
    assert rows(server)["grants"] == before["grants"] == []
    await client.close()
