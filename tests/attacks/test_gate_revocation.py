"""A token ends with its expiry, its revocation, its grant, its user or its client, at the latest one poll later."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest

from oauth_server.core.revocation import ACCESS_TOKEN_MAX, POLL_SECONDS
from oauth_server.store.store import Store
from oauth_server.store.verbs import clients, grants, users
from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.forging import good_claims
from tests.support.mcp_http import ERAS, ask, challenge_of, token_for, user_id
from tests.support.oauth import DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.server import Running
from tests.support.stored import code


@pytest.fixture
async def elsewhere(server: Running) -> AsyncIterator[Store]:
    """The same database, opened as another process does: what it writes reaches the server by the epoch alone."""
    store = await anyio.to_thread.run_sync(Store, server.location)
    yield store
    await anyio.to_thread.run_sync(store.close)


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as found:
        yield found


async def _all(http: httpx2.AsyncClient, token: str) -> list[httpx2.Response]:
    replies = [await ask(http, era, "tools/list", token=token) for era in ERAS]
    replies.append(await http.get("/oauth/test", headers={"Authorization": f"Bearer {token}"}))
    replies.append(await http.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"}))
    return replies


async def _alive(http: httpx2.AsyncClient, token: str) -> None:
    assert [reply.status_code for reply in await _all(http, token)] == [200] * 4


async def _dead(http: httpx2.AsyncClient, token: str) -> None:
    for reply in await _all(http, token):
        assert (reply.status_code, challenge_of(reply)["error"]) == (401, "invalid_token")


async def _dead_within_one_poll(http: httpx2.AsyncClient, token: str) -> None:
    began = time.monotonic()
    with anyio.fail_after(5):
        while (await ask(http, "modern", "ping", token=token)).status_code != 401:  # noqa: ASYNC110 - polled from outside
            await anyio.sleep(0.02)
    # Polled every 500 ms; the rest is for a busy machine.
    assert time.monotonic() - began < 1.5
    assert POLL_SECONDS == 0.5
    await _dead(http, token)


async def _grant(store: Store, client: OAuthClient, browser: Browser) -> tuple[dict[str, Any], str]:
    tokens = await client.tokens(browser, scope="mcp:read mcp:write openid offline_access")
    return tokens, (await store.read(grants.live, 0, 1))[0].grant_id


Ending = Callable[[Store, Running, str, str], Any]


async def _revoke_grant(store: Store, server: Running, grant_id: str, _: str) -> None:
    await store.write(grants.revoke_grant, grant_id, server.clock(), server.clock() + ACCESS_TOKEN_MAX)


async def _disable_user(store: Store, server: Running, _: str, subject: str) -> None:
    await store.write(users.set_disabled, subject, True, server.clock(), server.clock() + ACCESS_TOKEN_MAX)


async def _lower_ceiling(store: Store, server: Running, _: str, subject: str) -> None:
    await store.write(users.set_scope, subject, ("mcp:read",), server.clock, ACCESS_TOKEN_MAX)


async def _delete_client(store: Store, server: Running, _: str, __: str) -> None:
    assert await store.write(clients.remove, DEFAULT_CLIENT, server.clock() + ACCESS_TOKEN_MAX)


@pytest.mark.parametrize("end", [_revoke_grant, _disable_user, _lower_ceiling, _delete_client])
@pytest.mark.requirement("attack-64", "RS-09", "RS-13")
async def test_what_another_process_ends_is_refused_here_within_one_poll(
    server: Running, http: httpx2.AsyncClient, elsewhere: Store, client: OAuthClient, browser: Browser, end: Ending
) -> None:
    tokens, grant_id = await _grant(elsewhere, client, browser)
    await _alive(http, tokens["access_token"])
    await end(elsewhere, server, grant_id, await user_id(server))
    await _dead_within_one_poll(http, tokens["access_token"])


@pytest.mark.requirement("attack-64")
async def test_ending_one_thing_leaves_the_others_alive(
    server: Running, http: httpx2.AsyncClient, elsewhere: Store, client: OAuthClient, browser: Browser
) -> None:
    tokens, grant_id = await _grant(elsewhere, client, browser)
    other = await token_for(server, "mcp:read", "openid", grant_id="another-grant")
    await _revoke_grant(elsewhere, server, grant_id, "")
    await _dead_within_one_poll(http, tokens["access_token"])
    await _alive(http, other)


@pytest.mark.requirement("attack-64")
async def test_a_lowered_ceiling_ends_only_the_tokens_that_exceed_it(
    server: Running, http: httpx2.AsyncClient, elsewhere: Store, client: OAuthClient, browser: Browser
) -> None:
    reading = await client.tokens(browser, scope="mcp:read openid", prompt="consent")
    writing, _ = await _grant(elsewhere, client, browser)
    await _lower_ceiling(elsewhere, server, "", await user_id(server))
    await _dead_within_one_poll(http, writing["access_token"])
    await _alive(http, reading["access_token"])


@pytest.mark.requirement("attack-64")
async def test_a_token_issued_after_the_user_is_enabled_again_is_good_and_the_old_one_stays_dead(
    server: Running, http: httpx2.AsyncClient, elsewhere: Store
) -> None:
    subject = await user_id(server)
    old = await token_for(server, "mcp:read", "openid")
    await _disable_user(elsewhere, server, "", subject)
    await _dead_within_one_poll(http, old)
    await elsewhere.write(users.set_disabled, subject, False, server.clock(), 0)
    server.clock.advance(1)
    await _alive(http, await token_for(server, "mcp:read", "openid"))
    await _dead(http, old)


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.requirement("attack-64", "regression-9")
async def test_a_token_revoked_at_the_endpoint_is_refused_at_once(
    server: Running, http: httpx2.AsyncClient, client: OAuthClient, browser: Browser, kind: str
) -> None:
    tokens = await client.tokens(browser, scope="mcp:read openid")
    await _alive(http, tokens["access_token"])
    reply = await http.post("/oauth/revoke", data={"token": tokens[kind], "client_id": client.client_id})
    assert reply.status_code == 200
    await _dead(http, tokens["access_token"])


@pytest.mark.requirement("attack-63", "RS-13", "AS-26")
async def test_a_token_that_was_good_is_refused_from_its_last_second_on(
    server: Running, http: httpx2.AsyncClient
) -> None:
    token = await token_for(server, "mcp:read", "openid")
    await _alive(http, token)
    server.clock.advance(3599)
    await _alive(http, token)
    server.clock.advance(1)
    await _dead(http, token)


@pytest.mark.requirement("attack-47", "regression-4", "RS-13")
async def test_id_token_refresh_token_and_code_are_no_access_tokens(
    server: Running, http: httpx2.AsyncClient, client: OAuthClient, browser: Browser
) -> None:
    tokens = await client.tokens(browser, scope="mcp:read openid")
    for name in ("id_token", "refresh_token"):
        await _dead(http, tokens[name])
    reply = await client.refresh(tokens["access_token"])
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")
    await _alive(http, tokens["access_token"])


@pytest.mark.requirement("attack-63", "regression-4")
async def test_the_claims_of_an_issued_token_are_those_that_the_resource_reports(
    server: Running, http: httpx2.AsyncClient, client: OAuthClient, browser: Browser
) -> None:
    tokens = await client.tokens(browser, scope="mcp:read")
    reply = await http.get("/oauth/test", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    expected = good_claims(server, await user_id(server))
    assert reply.json() == {
        "authenticated": True,
        "sub": expected["sub"],
        "client_id": expected["client_id"],
        "scope": "mcp:read",
        "aud": expected["aud"],
        "exp": int(server.clock()) + 3600,
    }
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.requirement("attack-64", "RS-13")
async def test_what_one_server_revokes_is_refused_there_at_once_and_at_the_other_within_one_poll(
    make_server: MakeServer, kind: str
) -> None:
    env = {"MCP_OAUTH_ISSUER": "http://localhost:8000"}
    async with make_server(**env) as one, make_server(**env) as two:
        here, there = (httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") for server in (one, two))
        async with here, there:
            pkce, subject = Pkce.new(), await user_id(one)
            fields = {"user_id": subject, "client_id": DEFAULT_CLIENT, "challenge": pkce.challenge}
            fields |= {"resources": ("http://localhost:8000",), "scope": ("mcp:read", "openid")}
            times = {"auth_time": one.clock(), "expires_at": one.clock() + 60}
            await one.services.store.write(grants.add_code, code("a code", **fields, **times))
            form = {"grant_type": "authorization_code", "code": "a code", "code_verifier": pkce.verifier}
            tokens = (await there.post("/oauth/token", data={**form, "client_id": DEFAULT_CLIENT})).json()
            token = tokens["access_token"]
            await _alive(here, token)
            await _alive(there, token)
            reply = await here.post("/oauth/revoke", data={"token": tokens[kind], "client_id": DEFAULT_CLIENT})
            assert reply.status_code == 200
            await _dead(here, token)
            await _dead_within_one_poll(there, token)
            refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
            again = await there.post("/oauth/token", data={**refresh, "client_id": DEFAULT_CLIENT})
            assert again.status_code == (200 if kind == "access_token" else 400)
