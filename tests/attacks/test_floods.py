"""Floods: each bound is reached, says when to come back, and keeps to it; whoever floods nothing goes on."""

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import httpx2
import psutil
import pytest
from fastmcp.exceptions import ToolError

from oauth_server.core import hasher, hashers, logins
from oauth_server.core.policies import AUTHORIZATIONS, FETCHES, HOST_FETCHES, NEW_CLIENTS, REFUSALS, TOKEN_REQUESTS
from oauth_server.core.policies import TOOL_CALLS as TOOLS
from oauth_server.core.registration import BY_ADDRESS, RENEWED_AFTER, UNUSED_LIFETIME
from tests.conftest import MakeServer
from tests.support.authorize import browser_of, shown
from tests.support.browser import Browser
from tests.support.databases import every_row
from tests.support.issuers import https_issuer
from tests.support.mcp_http import MODES, mcp_client, token_for
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.outside import assert_error, opens, registered, rows
from tests.support.publisher import Publisher
from tests.support.server import OWNER, PASSWORD, Running

pytestmark = pytest.mark.requirement("attack-26")

FLOODED, OTHER = "192.0.2.7", "198.51.100.9"


@pytest.fixture
async def server(make_server: MakeServer, issuer: str) -> AsyncIterator[Running]:
    """A server behind a proxy that says where callers are."""
    async with make_server(MCP_OAUTH_TRUSTED_PROXIES="127.0.0.1", MCP_OAUTH_ISSUER=issuer) as found:
        yield found


def fill(server: Running, policy: object, key: str, room: int = 0) -> None:
    """Count what a flood would make of a bucket, but for so much room."""
    for _ in range(policy.quota - room):  # type: ignore[attr-defined]
        server.services.rate_limits.count(policy, key)  # type: ignore[arg-type]


def assert_limited(reply: httpx2.Response, policy: str, quota: int, window: int, seconds: int) -> None:
    """Require a refusal that says which bound was reached, and when there is room again."""
    assert reply.status_code == 429
    assert reply.headers["retry-after"] == str(seconds)
    assert reply.headers["ratelimit-policy"] == f'"{policy}";q={quota};w={window}'
    assert reply.headers["ratelimit"] == f'"{policy}";r=0;t={seconds}'


def at(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def bad_code(client: OAuthClient, address: str) -> httpx2.Response:
    form = {"grant_type": "authorization_code", "client_id": client.client_id, "code": "guessed"}
    form |= {"redirect_uri": CALLBACK, "code_verifier": "v" * 43}
    return await client.http.post("/oauth/token", data=form, headers=at(address))


async def test_refused_token_requests_are_bounded_by_address_and_the_bound_recovers(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    fill(server, REFUSALS, FLOODED, room=3)
    before = rows(server)
    assert [(await bad_code(client, FLOODED)).status_code for _ in range(5)] == [400] * 3 + [429] * 2
    reply = await bad_code(client, FLOODED)
    assert_error(reply, 429, "temporarily_unavailable")
    assert_limited(reply, "refusals", 600, 60, 1)
    assert rows(server) == before
    assert (await bad_code(client, OTHER)).status_code == 400
    # Each endpoint at which clients authenticate counts into the same bucket and asks it.
    form = {"client_id": "unknown", "token": "t"}
    for path in ("/oauth/revoke", "/oauth/introspect", "/oauth/token"):
        data = {**form, "grant_type": "refresh_token", "refresh_token": "t"}
        assert (await client.http.post(path, data=data, headers=at(FLOODED))).status_code == 429
        assert (await client.http.post(path, data=data, headers=at(OTHER))).status_code == 401
    server.clock.advance(1)
    assert [(await bad_code(client, FLOODED)).status_code for _ in range(12)] == [400] * 10 + [429] * 2
    # A public client elsewhere, and one at the same address in time, get their tokens.
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    server.clock.advance(1)
    form = {"grant_type": "authorization_code", "client_id": client.client_id, "code": code}
    form |= {"redirect_uri": CALLBACK, "code_verifier": pkce.verifier}
    assert (await client.http.post("/oauth/token", data=form, headers=at(FLOODED))).status_code == 200


async def test_every_kind_of_refusal_is_counted_and_nothing_else(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    confidential = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
    tokens = await client.tokens(browser)

    def counted() -> float:
        bucket = server.services.rate_limits._buckets.get((REFUSALS, "127.0.0.1"))
        return 0 if bucket is None else round((bucket.empty_at - server.clock()) / REFUSALS.interval, 3)

    own = (confidential.client_id, confidential.secret or "")
    introspected = await client.http.post("/oauth/introspect", data={"token": "unknown"}, auth=own)
    assert introspected.json() == {"active": False}
    assert (
        await client.http.post("/oauth/revoke", data={"token": "t", "client_id": DEFAULT_CLIENT})
    ).status_code == 200
    assert (await client.refresh(tokens["refresh_token"])).status_code == 200
    assert counted() == 0
    refused = (
        ("/oauth/token", {"grant_type": "refresh_token", "refresh_token": "t", "client_id": DEFAULT_CLIENT}, None),
        ("/oauth/token", {"grant_type": "refresh_token", "refresh_token": "t", "client_id": "unknown"}, None),
        ("/oauth/token", {"grant_type": "refresh_token", "refresh_token": "t"}, (own[0], "guessed")),
        ("/oauth/introspect", {"token": "t"}, (own[0], "guessed")),
        ("/oauth/introspect", {"token": "t", "client_id": DEFAULT_CLIENT}, None),
        ("/oauth/revoke", {"token": "t"}, ("unknown", "guessed")),
    )
    for number, (path, data, auth) in enumerate(refused, 1):
        assert (await client.http.post(path, data=data, auth=auth)).status_code in (400, 401)
        assert counted() == number, path


async def test_a_client_that_authenticates_is_kept_out_by_no_neighbour(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    app = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
    tokens = await app.tokens(browser)
    fill(server, REFUSALS, FLOODED)
    app.http.headers |= at(FLOODED)
    own = (app.client_id, app.secret or "")
    assert (await app.http.post("/oauth/introspect", data={"token": "t"}, auth=own)).status_code == 200
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    assert (await app.http.post("/oauth/revoke", data={"token": "t"}, auth=(own[0], "guessed"))).status_code == 401


async def test_a_client_has_a_bound_of_its_own_wherever_it_asks(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    app = await registered(closing, server, token_endpoint_auth_method="client_secret_post")
    other = await registered(closing, server, token_endpoint_auth_method="client_secret_post")
    tokens = await app.tokens(browser)
    fill(server, TOKEN_REQUESTS, app.client_id)
    reply = await app.refresh(tokens["refresh_token"])
    assert_limited(reply, "token-requests", 6000, 60, 1)
    assert (await other.refresh("unknown")).status_code == 400
    # Introspection has no such bound: a gateway asks for each of its calls.
    form = {"token": tokens["access_token"], "client_id": app.client_id, "client_secret": app.secret}
    assert (await app.http.post("/oauth/introspect", data=form)).json()["active"]
    server.clock.advance(1)
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_authorization_requests_are_bounded_by_address(server: Running, closing: AsyncExitStack) -> None:
    browser = browser_of(closing, server)
    url = OAuthClient(server).url(Pkce.new())
    fill(server, AUTHORIZATIONS, FLOODED, room=1)
    page = await browser.http.get(url, headers=at(FLOODED))
    assert page.status_code == 200
    for reply in (await browser.http.get(url, headers=at(FLOODED)), await browser.submit(page, headers=at(FLOODED))):
        assert "Too many requests; try again in 1 second." in shown(reply, 429)
        assert_limited(reply, "authorizations", 600, 60, 1)
    assert (await browser.http.get(url, headers=at(OTHER))).status_code == 200
    server.clock.advance(0.1)
    assert (await browser.http.get(url, headers=at(FLOODED))).status_code == 200


async def test_all_new_clients_together_are_bounded_and_shared_ones_go_on(server: Running, client: OAuthClient) -> None:
    async def register(name: str) -> httpx2.Response:
        return await client.http.post("/oauth/register", json={"redirect_uris": [CALLBACK], "client_name": name})

    fill(server, NEW_CLIENTS, "", room=1)
    assert (await register("new")).status_code == 201
    before = rows(server)
    assert_limited(await register("newer"), "new-clients", 300, 300, 1)
    assert (await register("new")).status_code == 201
    assert rows(server) == before
    server.clock.advance(1)
    assert (await register("newer")).status_code == 201


async def test_of_equal_public_registrations_at_once_one_counts(server: Running, client: OAuthClient) -> None:
    async def register(name: str) -> httpx2.Response:
        return await client.http.post("/oauth/register", json={"redirect_uris": [CALLBACK], "client_name": name})

    fill(server, NEW_CLIENTS, "", room=42)
    replies = await asyncio.gather(*(register("same") for _ in range(40)))
    assert len({reply.json()["client_id"] for reply in replies}) == 1
    assert [(await register(f"other {n}")).status_code for n in range(43)] == [201] * 41 + [429] * 2


async def test_a_client_that_is_registered_already_costs_nothing_where_no_new_one_may_come(
    server: Running, client: OAuthClient
) -> None:
    async def register(name: str) -> httpx2.Response:
        body = {"redirect_uris": [CALLBACK], "client_name": name}
        return await client.http.post("/oauth/register", json=body, headers=at(FLOODED))

    first = await register("shared")
    server.clock.advance(RENEWED_AFTER + 1)  # from then on it gets its full time back
    fill(server, NEW_CLIENTS, "")
    server.services.rate_limits.fill(BY_ADDRESS, FLOODED, server.clock() + 60)
    assert (await register("new")).status_code == 429
    again = await register("shared")
    assert (again.status_code, again.json()["client_id"]) == (201, first.json()["client_id"])
    server.clock.advance(UNUSED_LIFETIME - 1)
    assert (await register("shared")).json()["client_id"] == first.json()["client_id"]


@https_issuer
@pytest.mark.parametrize("policy", [FETCHES, HOST_FETCHES])
async def test_documents_are_fetched_so_often_for_one_address_and_from_one_host(
    server: Running, browser: Browser, publisher: Publisher, policy: object
) -> None:
    apps = [OAuthClient(server, publisher.publish(f"https://editor.example/{n}.json")) for n in range(3)]
    await browser.sign_in(await browser.http.get(OAuthClient(server).url(Pkce.new())))
    fill(server, policy, "127.0.0.1" if policy is FETCHES else "editor.example", room=1)
    urls = [app.url(Pkce.new(), redirect_uri="http://localhost/callback") for app in apps]
    assert (await browser.http.get(urls[0])).status_code == 200
    refused = await browser.http.get(urls[1])
    assert "Too many requests" in shown(refused, 429)
    assert (await browser.http.get(urls[0])).status_code == 200  # it is kept, and costs nobody anything
    assert sum(publisher.asked.values()) == 1
    elsewhere = publisher.publish("https://other.example/client.json")
    reply = await browser.http.get(
        OAuthClient(server, elsewhere).url(Pkce.new(), redirect_uri="http://localhost/callback")
    )
    assert reply.status_code == (429 if policy is FETCHES else 200)
    server.clock.advance(10)
    assert (await browser.http.get(urls[2])).status_code == 200
    for app in apps:
        await app.close()


@pytest.mark.requirement("attack-77")
@pytest.mark.parametrize("name", TOOLS)
async def test_a_tool_is_called_so_often_by_one_caller(server: Running, name: str) -> None:
    arguments: dict[str, dict[str, object]] = {
        "mcp_oauth_validate_token": {"token": "a.b.c"},
        "mcp_oauth_register_client": {"redirect_uris": [CALLBACK]},
        "mcp_oauth_check_compliance": {"spec_version": "none"},
    }
    policy = TOOLS[name]
    access = await token_for(server, "mcp:admin")
    caller = await server.services.tokens.verify(access)
    fill(server, policy, f"{caller.subject} {caller.client_id}", room=1)
    async with mcp_client(server, access, MODES[0]) as mine:
        first = await mine.call_tool(name, arguments[name], raise_on_error=False)
        assert "Too many" not in str(first.content)
        with pytest.raises(ToolError, match="Too many requests; try again in"):
            await mine.call_tool(name, arguments[name])
        server.clock.advance(policy.interval)
        again = await mine.call_tool(name, arguments[name], raise_on_error=False)
        assert "Too many" not in str(again.content)


async def test_quiet_traffic_writes_no_bucket(server: Running, browser: Browser, client: OAuthClient) -> None:
    tokens = await client.tokens(browser)
    for _ in range(20):
        tokens = (await client.refresh(tokens["refresh_token"])).json()
        await bad_code(client, OTHER)
    await server.services.rate_limits.reconcile()
    assert every_row(server.location)["failed_attempts"] == []
    assert await opens(server, tokens["access_token"]) == (200, 200)


# Passwords


async def waits(server: Running, number: int) -> None:
    """Return once so many logins wait for their password to be hashed."""
    with anyio.fail_after(30):
        while server.services.logins._waiting < number:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@https_issuer
async def test_beyond_the_queue_a_login_is_told_at_once_and_costs_no_attempt(
    server: Running, closing: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    guesser, owner, most = (
        browser_of(closing, server),
        browser_of(closing, server, OWNER, PASSWORD),
        logins.MOST_WAITING,
    )
    url = OAuthClient(server).url(Pkce.new(), prompt="login")
    page = await guesser.http.get(url)
    await owner.sign_in(await owner.http.get(url))
    go = threading.Event()
    monkeypatch.setattr(hashers, "_ask", lambda *_: go.wait(30))

    async def guess(number: int) -> httpx2.Response:
        fields = {"username": f"nobody{number}", "password": "guessed password"}
        return await guesser.submit(page, fields, headers=at(f"203.0.113.{number}"))

    waiting = [asyncio.create_task(guess(number)) for number in range(most)]
    await waits(server, most)
    before = rows(server)["failed_attempts"]
    reply = await guess(200)
    assert "Too many people are signing in at the moment; try again in a few seconds." in shown(reply, 503)
    assert reply.headers["retry-after"] == "5"
    assert rows(server)["failed_attempts"] == before
    # Whoever signed in in this browser before gets a place.
    form = {"username": owner.username, "password": owner.password}
    back = asyncio.create_task(owner.submit(await owner.http.get(url), form))
    await waits(server, most + 1)
    go.set()
    assert (await back).status_code == 303
    assert Counter([(await one).status_code for one in waiting]) == {400: most}
    assert (await guess(200)).status_code == 400


async def test_many_logins_at_once_make_the_queue_no_longer_than_it_may_be(
    server: Running, closing: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    guesser, most = browser_of(closing, server), logins.MOST_WAITING
    page = await guesser.http.get(OAuthClient(server).url(Pkce.new()))
    go = threading.Event()
    monkeypatch.setattr(hashers, "_ask", lambda *_: go.wait(30))

    async def guess(number: int) -> int:
        fields = {"username": f"nobody{number}", "password": "guessed password"}
        return (await guesser.submit(page, fields, headers=at(f"203.0.113.{number}"))).status_code

    tries = [asyncio.create_task(guess(number)) for number in range(most + 20)]
    await waits(server, most)
    while sum(one.done() for one in tries) < 20:
        await asyncio.wait([one for one in tries if not one.done()], return_when=asyncio.FIRST_COMPLETED)
    # Each of them counted in a bucket of its own account and of its own address; the others were given back.
    assert len(rows(server)["failed_attempts"]) == 2 * most
    go.set()
    assert Counter([await one for one in tries]) == {400: most, 503: 20}


async def test_passwords_are_hashed_by_fewer_processes_than_there_are_processors_and_these_yield() -> None:
    known = await hashers.hashed("correct horse battery staple")
    asked = [hashers.matches(known, password) for password in ("correct horse battery staple", "wrong") * 8]
    assert await asyncio.gather(*asked) == [True, False] * 8
    assert not await hashers.matches("no hash", "wrong")
    running = await _hashers()
    assert 1 <= len(running) <= max(1, len(os.sched_getaffinity(0)) // 2)
    # The system keeps a process at 19 where the sum is more, as it is where the tests themselves run under `nice`.
    assert {one.nice() for one in running} == {min(19, psutil.Process().nice() + hasher.NICE)}


async def test_a_hashing_process_that_was_killed_is_replaced() -> None:
    known = await hashers.hashed("correct horse battery staple")
    for one in await _hashers():
        one.kill()
        one.wait(10)
    assert await hashers.matches(known, "correct horse battery staple")


async def test_one_that_is_asked_nothing_for_a_while_ends_and_another_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(Path(hasher.__file__).parent)
    code = f"import sys; sys.path.insert(0, {folder!r}); import hasher; hasher.IDLE = 0.3; hasher.main()"
    monkeypatch.setattr(hashers, "_COMMAND", (sys.executable, "-c", code))
    one = hashers.Hasher()
    try:
        known = await asyncio.to_thread(one.ask, None, "correct horse battery staple")
        process = one._process
        assert process is not None
        assert await asyncio.to_thread(process.wait, 10) == 0
        assert await asyncio.to_thread(one.ask, str(known), "correct horse battery staple") is True
        assert one._process is not process
    finally:
        one.close()


async def _hashers() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if hashers._PROGRAM in one.cmdline()]
