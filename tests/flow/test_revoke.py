"""A client takes back its own tokens, at once, and no one else's (RFC 7009)."""

from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from tests.support.browser import Browser
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import assert_error, logged, opens, registered, rows
from tests.support.server import Running


async def revoke(client: OAuthClient, token: str | None, **form: str) -> httpx2.Response:
    """POST to the revocation endpoint, authenticated as registered."""
    data: dict[str, Any] = {**({} if token is None else {"token": token}), **form}
    auth = (client.client_id, client.secret or "") if client.method == "client_secret_basic" else None
    if auth is None:
        data.setdefault("client_id", client.client_id)
    if client.method == "client_secret_post":
        data.setdefault("client_secret", client.secret)
    return await client.http.post("/oauth/revoke", data=data, auth=auth)


def assert_done(reply: httpx2.Response) -> None:
    """RFC 7009 section 2.2: 200, and the body means nothing."""
    assert reply.status_code == 200, reply.text
    assert reply.content == b""
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.requirement("attack-64", "AS-35")
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "access_token"}, {"token_type_hint": "refresh_token"}])
async def test_a_revoked_access_token_is_refused_at_once_and_its_grant_lives_on(
    server: Running, browser: Browser, closing: AsyncExitStack, method: str, hint: dict[str, str]
) -> None:
    client = await registered(closing, server, token_endpoint_auth_method=method)
    tokens = await client.tokens(browser)
    other = (await client.refresh(tokens["refresh_token"])).json()
    assert await opens(server, tokens["access_token"]) == (200, 200)
    assert_done(await revoke(client, tokens["access_token"], **hint))
    assert await opens(server, tokens["access_token"]) == (401, 401)
    assert await opens(server, other["access_token"]) == (200, 200)
    assert [event[:2] for event in logged(server, "token.revoked")] == [("admin", client.client_id)]
    fresh = await client.refresh(other["refresh_token"])
    assert fresh.status_code == 200, fresh.text
    assert await opens(server, fresh.json()["access_token"]) == (200, 200)


@pytest.mark.requirement("attack-64", "AS-35")
@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "access_token"}, {"token_type_hint": "unheard-of"}])
async def test_a_revoked_refresh_token_takes_its_whole_grant_with_it(
    server: Running, browser: Browser, client: OAuthClient, hint: dict[str, str]
) -> None:
    other_grant = await client.tokens(browser)
    tokens = await client.tokens(browser)
    later = (await client.refresh(tokens["refresh_token"])).json()
    assert_done(await revoke(client, later["refresh_token"], **hint))
    assert await opens(server, tokens["access_token"]) == (401, 401)
    assert await opens(server, later["access_token"]) == (401, 401)
    assert_error(await client.refresh(later["refresh_token"]), 400, "invalid_grant")
    # The predecessor, though still within its grace window, is dead too.
    assert_error(await client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    assert [event[:2] for event in logged(server, "grant.revoked")] == [("admin", client.client_id)]
    assert await opens(server, other_grant["access_token"]) == (200, 200)
    assert (await client.refresh(other_grant["refresh_token"])).status_code == 200


@pytest.mark.requirement("AS-35")
async def test_a_used_up_refresh_token_still_names_its_grant(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    tokens = await client.tokens(browser)
    later = (await client.refresh(tokens["refresh_token"])).json()
    assert_done(await revoke(client, tokens["refresh_token"]))
    assert await opens(server, later["access_token"]) == (401, 401)
    assert_error(await client.refresh(later["refresh_token"]), 400, "invalid_grant")


@pytest.mark.requirement("AS-35", "attack-33")
@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
async def test_another_clients_token_stays_alive_and_the_answer_does_not_tell(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack, method: str
) -> None:
    thief = await registered(closing, server, token_endpoint_auth_method=method)
    tokens = await client.tokens(browser)
    before = rows(server)
    assert_done(await revoke(thief, tokens["access_token"]))
    assert_done(await revoke(thief, tokens["refresh_token"]))
    assert rows(server) == before
    assert await opens(server, tokens["access_token"]) == (200, 200)
    assert (await client.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.requirement("AS-35")
async def test_a_token_nobody_knows_is_answered_alike(server: Running, browser: Browser, client: OAuthClient) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    tokens = await client.tokens(browser)
    server.clock.advance(3600)  # the access token expired
    before = rows(server)
    forged = tokens["access_token"][:-4] + "AAAA"
    for token in ("unknown", "a.b.c", "..", forged, tokens["access_token"], code, "é" * 100, "x" * 20_000):
        assert_done(await revoke(client, token))
    assert rows(server) == before


@pytest.mark.requirement("AS-35", "attack-36", "attack-38")
async def test_a_revocation_needs_the_clients_own_authentication(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    armed = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
    tokens = await armed.tokens(browser)
    token = {"token": tokens["access_token"]}
    before = rows(server)
    for form in (
        token,
        {**token, "client_id": "unknown"},
        {**token, "client_id": armed.client_id},
        {**token, "client_id": armed.client_id, "client_secret": armed.secret or ""},
        {**token, "client_id": client.client_id, "client_secret": "wrong"},
    ):
        assert_error(await client.http.post("/oauth/revoke", data=form), 401, "invalid_client")
    wrong = await client.http.post("/oauth/revoke", data=token, auth=(armed.client_id, "wrong"))
    assert_error(wrong, 401, "invalid_client")
    assert_error(await revoke(armed, None), 400, "invalid_request")
    assert_error(await revoke(armed, ""), 400, "invalid_request")
    assert rows(server) == before
    assert await opens(server, tokens["access_token"]) == (200, 200)


@pytest.mark.requirement("AS-35")
async def test_revoking_twice_is_as_good_as_once(server: Running, browser: Browser, client: OAuthClient) -> None:
    tokens = await client.tokens(browser)
    for _ in range(2):
        assert_done(await revoke(client, tokens["access_token"]))
        assert_done(await revoke(client, tokens["refresh_token"]))
    assert await opens(server, tokens["access_token"]) == (401, 401)
