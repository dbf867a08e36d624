"""No stranger can lock a person out of a browser in which they signed in before (OWASP device cookies)."""

from contextlib import AsyncExitStack

import pytest

from tests.support.authorize import ALICE_PASSWORD, add_user, browser_of
from tests.support.issuers import https_issuer
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import logged
from tests.support.server import OWNER, PASSWORD, Running

pytestmark = [pytest.mark.requirement("attack-26"), https_issuer]

BOUND = 10
ADDRESS = 50
NEW = "a new password of mine"
CHANGE = ("action", "password")


class Person:
    """Somebody who signs in at a login form, in a browser of their own."""

    def __init__(self, closing: AsyncExitStack, server: Running, name: str = OWNER, password: str = PASSWORD) -> None:
        self.browser = browser_of(closing, server, name, password)
        self.url = OAuthClient(server).url(Pkce.new(), prompt="login")
        self.cookie = "__Host-mcp_browser"

    async def signs_in(self, password: str | None = None, name: str | None = None) -> int:
        """The status that the login form answers to them."""
        page = await self.browser.http.get(self.url)
        fields = {"username": name or self.browser.username, "password": password or self.browser.password}
        return (await self.browser.submit(page, fields)).status_code

    async def fails(self, times: int) -> list[int]:
        return [await self.signs_in("a wrong password") for _ in range(times)]

    @property
    def known_by(self) -> str:
        """What the browser keeps."""
        (value,) = {cookie.value for cookie in self.browser.http.cookies.jar if cookie.name == self.cookie}
        assert value is not None
        return value

    def plant(self, value: str) -> None:
        """Have the browser keep something else."""
        for cookie in list(self.browser.http.cookies.jar):
            if cookie.name == self.cookie:
                self.browser.http.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
        self.browser.http.cookies.set(self.cookie, value, domain="mcp.example.com")


async def locked(closing: AsyncExitStack, server: Running, name: str = OWNER) -> None:
    """A stranger uses up all attempts at an account, and goes on."""
    stranger = Person(closing, server, name)
    assert await stranger.fails(BOUND + 3) == [400] * BOUND + [429] * 3


async def test_the_owner_gets_in_however_hard_a_stranger_tries_from_the_same_address(
    server: Running, closing: AsyncExitStack
) -> None:
    owner = Person(closing, server)
    assert await owner.signs_in() == 303
    await owner.browser.submit(await owner.browser.http.get("/oauth/logout"))
    await locked(closing, server)
    stranger = Person(closing, server)
    for number in range(ADDRESS):
        await stranger.signs_in("a wrong password", f"name-{number}")
    assert await stranger.signs_in(ALICE_PASSWORD, "alice") == 429
    assert await Person(closing, server).signs_in() == 429
    for _ in range(3):
        assert await owner.signs_in() == 303
    # The stranger has gained nothing by it.
    assert await Person(closing, server).fails(1) == [429]


async def test_a_known_browser_has_a_bound_of_its_own_that_a_success_resets(
    server: Running, closing: AsyncExitStack, verified: list[str]
) -> None:
    owner, other = Person(closing, server), Person(closing, server)
    assert (await owner.signs_in(), await other.signs_in()) == (303, 303)
    assert owner.known_by != other.known_by
    assert await owner.fails(BOUND - 1) == [400] * (BOUND - 1)
    assert await owner.signs_in() == 303
    assert await owner.fails(BOUND) == [400] * BOUND
    verified.clear()
    assert await owner.signs_in() == 429
    assert verified == []
    details = [detail for *_, detail in logged(server, "login.limited")]
    assert details == ["by browser: 10 failed attempts"]
    # Neither the account nor another browser is any the worse for it.
    assert await other.signs_in() == 303
    assert await Person(closing, server).signs_in() == 303
    server.clock.advance(60)
    assert await owner.signs_in() == 303


async def test_what_a_browser_keeps_is_bound_to_person_and_password_and_cannot_be_made(
    server: Running, closing: AsyncExitStack
) -> None:
    await add_user(server)
    alice, owner = Person(closing, server, "alice", ALICE_PASSWORD), Person(closing, server)
    assert (await alice.signs_in(), await owner.signs_in()) == (303, 303)
    right = owner.known_by
    await locked(closing, server)
    browser_id, generation, mac = right.split(".")
    _, other_generation, other_mac = alice.known_by.split(".")
    for forged in (
        "",
        "x",
        "..",
        alice.known_by,
        f"{browser_id}.{generation}",
        f"{browser_id}.{generation}.",
        f"{browser_id}.{generation}.{mac[:-1]}",
        f"{browser_id}.{generation}.{mac.upper()}",
        f"{browser_id}x.{generation}.{mac}",
        f"another.{generation}.{mac}",
        f"{browser_id}.{other_generation}.{mac}",
        f"{browser_id}.{other_generation}.{other_mac}",
        f"{browser_id}.{generation}.{other_mac}",
        f"{right}.{mac}",
        "x" * 4000,
    ):
        owner.plant(forged)
        assert await owner.signs_in() == 429, forged
    owner.plant(right)
    assert await owner.signs_in() == 303


async def test_a_new_password_ends_it_but_in_the_browser_in_which_it_was_chosen(
    server: Running, closing: AsyncExitStack
) -> None:
    owner, elsewhere = Person(closing, server), Person(closing, server)
    assert (await owner.signs_in(), await elsewhere.signs_in()) == (303, 303)
    before = owner.known_by
    page = await owner.browser.http.get("/account")
    fields = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    assert (await owner.browser.submit(page, fields, button=CHANGE)).status_code == 303
    after = owner.known_by
    await locked(closing, server)
    assert await elsewhere.signs_in(NEW) == 429
    assert await owner.signs_in(NEW) == 303
    owner.plant(before)
    assert await owner.signs_in(NEW) == 429
    owner.plant(after)
    assert await owner.signs_in(NEW) == 303


async def test_the_first_password_of_ones_own_is_known_as_well(server: Running, closing: AsyncExitStack) -> None:
    await add_user(server, must_change_password=True)
    alice = Person(closing, server, "alice", ALICE_PASSWORD)
    page = await alice.browser.sign_in(await alice.browser.http.get(OAuthClient(server).url(Pkce.new())))
    reply = await alice.browser.submit(page, {"new_password": NEW, "new_password_again": NEW})
    assert reply.status_code == 303
    await locked(closing, server, "alice")
    assert await alice.signs_in(NEW) == 303
