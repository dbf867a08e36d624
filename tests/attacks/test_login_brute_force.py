"""Guessing passwords: bounded by account and by address, the same for names that nobody has, and no way to lock out."""

import asyncio
import contextlib
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import anyio
import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.authorize import ALICE_PASSWORD, add_user, browser_of, shown
from tests.support.browser import form_of
from tests.support.databases import both_engines
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import logged, rows
from tests.support.server import OWNER, PASSWORD, Running

pytestmark = [both_engines, pytest.mark.requirement("attack-26")]

ACCOUNT, ADDRESS = 10, 50  # failures until one more is allowed each minute, each ten seconds
WRONG = "a wrong password"
SENTENCE = "Too many attempts; try again in {}."


@pytest.fixture
async def server(make_server: MakeServer) -> AsyncIterator[Running]:
    """A server behind a proxy that says where callers are."""
    async with make_server(MCP_OAUTH_TRUSTED_PROXIES="127.0.0.1") as found:
        yield found


class Guesser:
    """A browser at some address that fills in the login form of an authorization request, again and again."""

    def __init__(self, closing: AsyncExitStack, server: Running, address: str = "192.0.2.1") -> None:
        self.browser = browser_of(closing, server)
        self.browser.http.headers["X-Forwarded-For"] = address
        self.url = OAuthClient(server).url(Pkce.new(), prompt="login")

    async def __call__(self, username: str, password: str = WRONG) -> httpx2.Response:
        page = await self.browser.http.get(self.url)
        return await self.browser.submit(page, {"username": username, "password": password})

    async def statuses(self, number: int, username: str, password: str = WRONG) -> list[int]:
        return [(await self(username, password)).status_code for _ in range(number)]


def limited(reply: httpx2.Response, username: str, seconds: int = 60) -> str:
    """The login form again, with the name that was typed and a word about when to come back."""
    html = shown(reply, 429)
    assert reply.headers["retry-after"] == str(seconds)
    assert SENTENCE.format("1 second" if seconds == 1 else f"{seconds} seconds") in html
    form = form_of(html)
    assert (form.fields["username"], form.inputs["password"]) == (username, "password")
    assert "set-cookie" not in reply.headers
    return html


def written(server: Running, event: str) -> list[tuple[str, str, str]]:
    """The audit events of this name, oldest first: who, from where, and the detail."""
    return [(actor, address, detail) for actor, _, address, detail in logged(server, event)]


async def fill_account(closing: AsyncExitStack, server: Running, username: str = OWNER) -> None:
    """Guess at an account from as many addresses as there are guesses."""
    for number in range(ACCOUNT):
        reply = await Guesser(closing, server, f"198.51.100.{number}")(username)
        assert "The user name or the password is wrong." in shown(reply, 400)


async def test_guesses_at_one_account_are_bounded_wherever_they_come_from(
    server: Running, closing: AsyncExitStack, verified: list[str]
) -> None:
    await add_user(server)
    await fill_account(closing, server)
    verified.clear()
    fresh = Guesser(closing, server)
    for password in (WRONG, PASSWORD):
        limited(await fresh(OWNER, password), OWNER)
    for spelling in ("ADMIN", " admin ", "\uff41dmin"):
        assert (await fresh(spelling)).status_code == 429
    assert verified == []
    # Nobody else is concerned, at whatever address.
    assert (await Guesser(closing, server, "198.51.100.3")("alice", ALICE_PASSWORD)).status_code == 303


async def test_a_name_that_nobody_has_is_answered_the_same_at_every_step(
    server: Running, closing: AsyncExitStack, verified: list[str]
) -> None:
    await add_user(server, "disabled", disabled=True)
    answers = []
    for username in (OWNER, "nobody", "disabled"):
        verified.clear()
        guesser = Guesser(closing, server, f"2001:db8:{len(username)}::1")
        seen = []
        for _ in range(ACCOUNT + 3):
            reply = await guesser(username)
            headers = {k: v for k, v in reply.headers.items() if k not in ("date", "content-length", "x-request-id")}
            text = re.sub(r'name="csrf" value="[^"]*"', "", reply.text).replace(f'"{username}"', '"NAME"')
            text = re.sub(r"code_challenge=[\w-]+|/s/[\w-]{22}/", "", text)
            seen.append((reply.status_code, len(verified), headers, text))
        answers.append(seen)
    assert answers[0] == answers[1] == answers[2]
    assert [status for status, *_ in answers[0]] == [400] * ACCOUNT + [429] * 3
    assert [hashed for _, hashed, *_ in answers[0]][-4:] == [ACCOUNT] * 4


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:3::1"),
    ],
)
async def test_guesses_from_one_address_are_bounded_whatever_name_they_try(
    server: Running, closing: AsyncExitStack, verified: list[str], address: str, same: str, other: str
) -> None:
    guesser = Guesser(closing, server, address)
    assert Counter([(await guesser(f"name-{n}")).status_code for n in range(ADDRESS)]) == {400: ADDRESS}
    verified.clear()
    limited(await guesser(OWNER, PASSWORD), OWNER, 10)
    limited(await Guesser(closing, server, same)("another name"), "another name", 10)
    assert verified == []
    assert (await Guesser(closing, server, other)(OWNER, PASSWORD)).status_code == 303
    server.clock.advance(10)
    assert await guesser.statuses(2, "one more") == [400, 429]


async def test_signing_in_forgets_the_failures_of_the_account_and_not_those_of_the_address(
    server: Running, closing: AsyncExitStack
) -> None:
    await add_user(server, "mallory")
    first = Guesser(closing, server)
    assert await first.statuses(ACCOUNT - 1, OWNER) == [400] * (ACCOUNT - 1)
    assert (await first(OWNER, PASSWORD)).status_code == 303
    assert await Guesser(closing, server).statuses(ACCOUNT + 1, OWNER) == [400] * ACCOUNT + [429]
    # With an account of one's own the count of one's address does not start anew.
    for _ in range(2):
        assert (await Guesser(closing, server)("mallory", ALICE_PASSWORD)).status_code == 303
    left = ADDRESS - 2 * ACCOUNT + 1
    found = [(await Guesser(closing, server)(f"name-{n}")).status_code for n in range(left + 1)]
    assert found == [400] * left + [429]


async def test_a_sign_in_leaves_no_count_behind(server: Running, closing: AsyncExitStack) -> None:
    guesser = Guesser(closing, server)
    assert (await guesser(OWNER, PASSWORD)).status_code == 303
    assert rows(server)["failed_attempts"] == []
    await guesser("nobody")
    server.clock.advance(600)
    assert (await guesser(OWNER, PASSWORD)).status_code == 303
    assert rows(server)["failed_attempts"] == []


async def test_waiting_allows_one_more_and_no_attack_makes_it_longer(server: Running, closing: AsyncExitStack) -> None:
    await fill_account(closing, server)
    attackers = [Guesser(closing, server, f"203.0.113.{n}") for n in range(2)]
    for _ in range(5):
        for attacker in attackers:
            limited(await attacker(OWNER), OWNER)
    server.clock.advance(59.5)
    limited(await attackers[0](OWNER, PASSWORD), OWNER, 1)
    server.clock.advance(0.5)
    assert await attackers[0].statuses(2, OWNER) == [400, 429]
    server.clock.advance(60)
    assert (await attackers[1](OWNER, PASSWORD)).status_code == 303
    await fill_account(closing, server)
    server.clock.advance(ACCOUNT * 60)
    assert await attackers[0].statuses(ACCOUNT + 1, OWNER) == [400] * ACCOUNT + [429]


async def test_two_hundred_guesses_at_once_are_hashed_no_oftener_than_the_bound(
    server: Running, closing: AsyncExitStack, verified: list[str]
) -> None:
    guesser = Guesser(closing, server)
    page = await guesser.browser.http.get(guesser.url)
    fields = [{"username": OWNER, "password": f"guess {n}"} for n in range(200)]
    replies = await asyncio.gather(*(guesser.browser.submit(page, one) for one in fields))
    assert Counter(reply.status_code for reply in replies) == {400: ACCOUNT, 429: 190}
    assert len(verified) == ACCOUNT


async def test_two_servers_on_one_database_share_the_count_even_at_once(
    server: Running, make_server: MakeServer, closing: AsyncExitStack, verified: list[str]
) -> None:
    other = await closing.enter_async_context(make_server(MCP_OAUTH_TRUSTED_PROXIES="127.0.0.1"))
    guessers = [Guesser(closing, one) for one in (server, other)]
    replies = await asyncio.gather(*(guessers[n % 2](OWNER, f"guess {n}") for n in range(60)))
    assert Counter(reply.status_code for reply in replies) == {400: ACCOUNT, 429: 50}
    assert len(verified) == ACCOUNT


async def test_a_restart_forgets_nothing(make_server: MakeServer, closing: AsyncExitStack) -> None:
    async with make_server() as server:
        await Guesser(closing, server).statuses(ACCOUNT, OWNER)
    async with make_server() as server:
        limited(await Guesser(closing, server)(OWNER, PASSWORD), OWNER)


@pytest.mark.sqlite("another process holds the one write lock that a file has")
async def test_a_refused_attempt_writes_nothing_and_a_full_count_is_recorded_once(
    server: Running, closing: AsyncExitStack
) -> None:
    await fill_account(closing, server)
    before = rows(server)
    guesser = Guesser(closing, server)
    # Nor does it wait for others who write: a flood of them takes nobody's turn.
    with contextlib.closing(sqlite3.connect(server.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with anyio.fail_after(5):
            for password in (WRONG, PASSWORD):
                limited(await guesser(OWNER, password), OWNER)
    assert rows(server) == before
    assert len(written(server, "login")) == ACCOUNT
    assert written(server, "login.limited") == [("admin", "198.51.100.9", "by account: 10 failed attempts")]


async def test_the_attempt_that_would_fill_the_count_and_succeeds_is_not_recorded_as_an_attack(
    server: Running, closing: AsyncExitStack
) -> None:
    guesser = Guesser(closing, server)
    await guesser.statuses(ACCOUNT - 1, OWNER)
    assert (await guesser(OWNER, PASSWORD)).status_code == 303
    assert written(server, "login.limited") == []


async def test_the_login_form_of_the_account_page_shares_the_bounds(server: Running, closing: AsyncExitStack) -> None:
    await fill_account(closing, server)
    browser = browser_of(closing, server, OWNER, PASSWORD)
    page = await browser.http.get("/account")
    reply = await browser.submit(page, {"username": OWNER, "password": PASSWORD})
    limited(reply, OWNER)
    server.clock.advance(60)
    assert (await browser.submit(reply, {"password": PASSWORD})).status_code == 303


async def test_the_present_password_is_bounded_by_session_and_locks_out_of_nothing_else(
    server: Running, closing: AsyncExitStack, verified: list[str]
) -> None:
    browser = browser_of(closing, server, OWNER, PASSWORD)
    elsewhere = browser_of(closing, server, OWNER, PASSWORD)
    pages = [await one.sign_in(await one.http.get("/account")) for one in (browser, elsewhere)]
    new = {"new_password": "a new password of mine", "new_password_again": "a new password of mine"}
    button = ("action", "password")

    async def change(borrowed: int, password: str) -> httpx2.Response:
        one = (browser, elsewhere)[borrowed]
        return await one.submit(pages[borrowed], {**new, "password": password}, button=button)

    for _ in range(ACCOUNT):
        assert "The present password is wrong." in shown(await change(0, WRONG), 400)
    verified.clear()
    before = rows(server)
    reply = await change(0, PASSWORD)
    assert SENTENCE.format("60 seconds") in shown(reply, 429)
    assert reply.headers["retry-after"] == "60"
    assert "Connected applications" in reply.text
    assert (verified, rows(server)) == ([], before)
    assert [detail for *_, detail in written(server, "password.confirmed.limited")] == [
        "by session: 10 failed attempts"
    ]
    # Neither another session of the person nor signing in is any the worse for it.
    assert (await Guesser(closing, server)(OWNER, PASSWORD)).status_code == 303
    assert (await change(1, PASSWORD)).status_code == 303
