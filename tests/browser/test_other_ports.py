"""Servers on other ports of the same host: what they get of a person's session, and what they can plant.

A browser sends the cookies of a host to every port of it, and lets every port set them (RFC 6265 section 8.5).
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Desk, OtherPort, sign_in
from tests.support.authorize import ALICE_PASSWORD, add_user, browser_of
from tests.support.server import Running

pytestmark = pytest.mark.requirement("attack-25")

GUESSABLE = ("/account", "/oauth/authorize", "/oauth/logout", "/", "/s/", "/s/account", "/oauth/")
IMAGES = "".join(f'<img src="{path}">' for path in GUESSABLE)


@dataclass
class Planted:
    """An account page of the attacker's own: its path, and the cookies that open it."""

    path: str
    cookies: list[str]

    @property
    def headers(self) -> str:
        """The lines that plant them."""
        return "\r\nSet-Cookie: ".join(self.cookies)


@pytest.fixture
async def planted(server: Running) -> AsyncIterator[Planted]:
    """Alice is the attacker, and signed in."""
    async with AsyncExitStack() as stack:
        if await server.services.users.by_username("alice") is None:
            await add_user(server)
        alice = browser_of(stack, server, "alice", ALICE_PASSWORD)
        page = await alice.sign_in(await alice.http.get("/account"))
        assert "<bdi>alice</bdi>" in page.text
        jar = alice.http.cookies.jar
        yield Planted(page.url.path, [f"{one.name}={one.value}; Path={one.path}" for one in jar])


async def opened_account(desk: Desk, page: Page) -> str:
    """Sign in at the account page, where that is asked for; the path that it has then."""
    await page.goto(f"{desk.server.url}/account")
    if await page.get_by_label("User name").count():
        await sign_in(page)
    await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    return urlsplit(page.url).path


def is_entered(text: str) -> bool:
    """Whether a page shows the attacker's account."""
    return "alice" in text or "Connected applications" in text


async def test_no_other_port_is_sent_a_session(desk: Desk, other: OtherPort) -> None:
    # The client's own callback leads the browser to paths that it shares with this server.
    desk.client.redirect_uri = other.redirect("/callback", "/account")
    for path in GUESSABLE:
        other.page(path, f"<title>The other port</title>{IMAGES}")
    page = await desk.page()
    await sign_in(page)
    await page.get_by_role("button", name="Approve").click()
    await expect(page).to_have_title("The other port")
    await opened_account(desk, page)
    await page.goto(f"{desk.server.url}/account")
    for path in GUESSABLE:
        await page.goto(other.url + path)
    await page.goto(other.page("/page", f"<title>Images</title>{IMAGES}"), wait_until="networkidle")
    assert {"/account", "/oauth/authorize", "/oauth/logout"} <= {urlsplit(target).path for target in other.asked}
    assert other.cookies == []


@pytest.mark.requirement("attack-22")
@pytest.mark.parametrize("way", ["link", "typed address", "script", "image", "form", "callback"])
async def test_session_that_another_port_planted_is_not_entered(
    desk: Desk, other: OtherPort, planted: Planted, way: str
) -> None:
    target = desk.server.url + planted.path
    plant = {"Set_Cookie": planted.headers}
    page = await (await desk.profile()).new_page()
    await page.goto(other.page("/plant", "<title>Planted</title>", **plant))
    assert {cookie["name"] for cookie in await page.context.cookies()} >= {planted.cookies[0].partition("=")[0]}
    await page.goto(
        other.page(
            "/start",
            f'<a href="{target}">link</a><img src="{target}">'
            f'<form method="post" action="{target}"><button name="action" value="end_sessions">form</button></form>',
        )
    )
    if way == "link":
        await page.get_by_role("link").click()
    elif way == "form":
        await page.get_by_role("button").click()
    elif way == "script":
        await page.evaluate("url => { location = url }", target)
    elif way == "typed address":
        await page.goto(other.redirect("/away", target, **plant))
    elif way == "callback":
        desk.client.redirect_uri = other.redirect("/callback", target, **plant)
        await page.goto(desk.url())
        await sign_in(page)
        await page.get_by_role("button", name="Approve").click()
    if way == "image":
        assert await page.evaluate("document.images[0].naturalWidth") == 0
        body = await page.evaluate("url => fetch(url, {credentials: 'include'}).then(r => r.text(), String)", target)
        assert not is_entered(body)
        return
    await page.wait_for_url(f"{target}**")
    assert not is_entered(await page.content())


async def test_refusal_is_the_same_for_a_session_that_exists_and_one_that_does_not(
    desk: Desk, other: OtherPort, planted: Planted
) -> None:
    page = await (await desk.profile()).new_page()
    await page.goto(other.page("/plant", "", Set_Cookie=planted.headers))
    said = []
    for path in (planted.path, f"/s/{'x' * 22}/account", "/s/x/account"):
        await page.goto(other.page("/start", f'<a href="{desk.server.url}{path}">link</a>'))
        async with page.expect_response(lambda reply: "/s/" in reply.url) as arriving:
            await page.get_by_role("link").click()
        said.append((await page.inner_text("main"), (await arriving.value).status))
    assert len(set(said)) == 1
    assert said[0][1] == 403


async def test_cookies_that_another_port_plants_lock_nobody_out(desk: Desk, other: OtherPort) -> None:
    page = await desk.page()
    seen = {cookie["name"] for cookie in await page.context.cookies()}
    port = desk.server.port
    names = {*seen, f"mcp_session_{port}", f"mcp_form_{port}", f"mcp_known_browser_{port}"}
    names |= {f"\xa0{name}" for name in names}
    lines = [f"{name}=planted; Path={path}" for name in sorted(names) for path in ("/", "/s", "/account", "/oauth")]
    await page.goto(other.page("/plant", "<title>Planted</title>", Set_Cookie="\r\nSet-Cookie: ".join(lines)))
    await opened_account(desk, page)
    await page.get_by_role("link", name="Sign out").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading")).to_have_text("You are signed out")
    await page.goto(desk.url())
    await sign_in(page)
    await page.get_by_role("button", name="Approve").click()
    await expect(page).to_have_title("The client")
    assert "code" in desk.callback.answer


async def test_reloading_and_going_back_keep_the_session(desk: Desk) -> None:
    page = await (await desk.profile()).new_page()
    path = await opened_account(desk, page)
    await page.reload()
    await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    await page.get_by_role("link", name="Sign out").click()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    # An address that was typed may be another server's redirect: the person says so.
    await page.goto(desk.server.url + path)
    await page.get_by_role("link", name="Go on").click()
    await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
