"""MCP_OAUTH_AUTO_APPROVE signs in and consents for automated tests, and for nobody else."""

from contextlib import AsyncExitStack

import pytest

from oauth_server.store.verbs import users
from tests.conftest import MakeServer
from tests.support.authorize import add_user, answered, count, redirected_error, registered, shown, state_of
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, Running


@pytest.fixture
async def automatic(make_server: MakeServer, closing: AsyncExitStack) -> Running:
    return await closing.enter_async_context(make_server(MCP_OAUTH_AUTO_APPROVE=OWNER))


@pytest.fixture
async def approved(automatic: Running, closing: AsyncExitStack) -> OAuthClient:
    client = OAuthClient(automatic)
    closing.push_async_callback(client.close)
    return client


@pytest.mark.requirement("AS-01")
@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}], ids=str)
async def test_named_user_is_signed_in_and_consents_unasked(approved: OAuthClient, headers: dict[str, str]) -> None:
    pkce = Pkce.new()
    reply = await approved.http.get(approved.url(pkce, scope="mcp:read mcp:write"), headers=headers)
    assert "set-cookie" not in reply.headers
    tokens = (await approved.redeem(answered(reply, approved)["code"], pkce)).json()
    assert tokens["scope"] == "mcp:read mcp:write"
    assert await count(approved.server, "browser_sessions") == 0
    assert await count(approved.server, "consents") == 0


@pytest.mark.requirement("attack-16")
async def test_sensitive_scope_is_never_granted_unasked(approved: OAuthClient) -> None:
    pkce = Pkce.new()
    reply = await approved.http.get(approved.url(pkce, scope="mcp:read mcp:admin"))
    assert (await approved.redeem(answered(reply, approved)["code"], pkce)).json()["scope"] == "mcp:read"
    before = await state_of(approved.server)
    assert 'type="password"' in shown(await approved.http.get(approved.url(pkce, scope="mcp:admin")))
    silent = await approved.http.get(approved.url(pkce, scope="mcp:admin", prompt="none"))
    redirected_error(silent, approved, "login_required")
    assert await state_of(approved.server) == before


@pytest.mark.requirement("attack-24")
@pytest.mark.parametrize("site", ["cross-site", "same-site", "unheard-of"])
async def test_navigation_that_another_site_started_is_not_approved(approved: OAuthClient, site: str) -> None:
    before = await state_of(approved.server)
    reply = await approved.http.get(approved.url(Pkce.new()), headers={"Sec-Fetch-Site": site})
    assert 'type="password"' in shown(reply)
    reply = await approved.http.get(approved.url(Pkce.new(), prompt="none"), headers={"Sec-Fetch-Site": site})
    redirected_error(reply, approved, "login_required")
    assert await state_of(approved.server) == before


@pytest.mark.requirement("AS-33")
@pytest.mark.parametrize("uri", ["https://app.example/cb", "cursor://anysphere.cursor-mcp/oauth/callback"])
async def test_redirect_to_anything_but_loopback_is_not_approved(
    automatic: Running, closing: AsyncExitStack, uri: str
) -> None:
    client = await registered(closing, automatic, redirect_uris=[uri])
    before = await state_of(automatic)
    assert 'type="password"' in shown(await client.http.get(client.url(Pkce.new())))
    assert await state_of(automatic) == before


@pytest.mark.requirement("attack-16")
async def test_ceiling_of_the_named_user_holds(make_server: MakeServer, closing: AsyncExitStack) -> None:
    server = await closing.enter_async_context(make_server(MCP_OAUTH_AUTO_APPROVE="Alice"))
    await add_user(server)
    client = OAuthClient(server)
    closing.push_async_callback(client.close)
    pkce = Pkce.new()
    reply = await client.http.get(client.url(pkce, scope="mcp:read mcp:admin"))
    assert (await client.redeem(answered(reply, client)["code"], pkce)).json()["scope"] == "mcp:read"
    redirected_error(await client.http.get(client.url(pkce, scope="mcp:admin")), client, "invalid_scope")


@pytest.mark.requirement("AS-01")
async def test_user_who_does_not_exist_or_is_disabled_approves_nothing(
    make_server: MakeServer, closing: AsyncExitStack
) -> None:
    server = await closing.enter_async_context(make_server(MCP_OAUTH_AUTO_APPROVE="alice"))
    client = OAuthClient(server)
    closing.push_async_callback(client.close)
    described = redirected_error(await client.http.get(client.url(Pkce.new())), client, "access_denied")
    assert "MCP_OAUTH_AUTO_APPROVE" in described
    alice = await add_user(server)
    now = server.clock()
    await server.services.store.write(users.set_disabled, alice.user_id, True, now, now)
    redirected_error(await client.http.get(client.url(Pkce.new())), client, "access_denied")
    assert await count(server, "codes") == 0


@pytest.mark.requirement("attack-2", "attack-8")
async def test_checks_come_before_the_approval(approved: OAuthClient) -> None:
    before = await state_of(approved.server)
    shown(await approved.http.get(approved.url(Pkce.new(), redirect_uri="http://localhost.evil.example/callback")), 400)
    redirected_error(
        await approved.http.get(approved.url(Pkce.new(), code_challenge=None)), approved, "invalid_request"
    )
    assert await state_of(approved.server) == before


@pytest.mark.requirement("AS-01")
async def test_without_the_setting_nobody_is_approved(client: OAuthClient) -> None:
    assert 'type="password"' in shown(await client.http.get(client.url(Pkce.new())))
