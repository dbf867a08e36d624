"""Sign in and consent in Chromium: with and without JavaScript, by mouse and by keyboard alone."""

from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Desk, sign_in
from tests.support.server import OWNER, PASSWORD

# What Chromium itself says of the login page after a wrong password; nothing else may stand in its console.
WRONG_PASSWORD = "Failed to load resource: the server responded with a status of 400 (Bad Request)"


async def lands(page: Page, desk: Desk) -> dict[str, str]:
    """Wait until the browser is at the client's redirect URI; returns the parameters that arrived there."""
    await page.wait_for_url(f"{desk.callback.uri}?*")
    await expect(page).to_have_title("The client")
    return desk.callback.answer


@pytest.mark.requirement("AS-23", "AS-39", "attack-13", "regression-2")
@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
async def test_person_signs_in_removes_a_scope_and_approves(desk: Desk, javascript: bool) -> None:
    page = await desk.page(java_script_enabled=javascript)
    asked = page.url
    await expect(page.get_by_role("heading")).to_have_text("Sign in")
    await sign_in(page, "not the password at all")
    await expect(page.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    await expect(page.get_by_label("User name")).to_have_value(OWNER)
    await expect(page.get_by_label("Password")).to_have_value("")
    assert page.url.partition("?")[2] == asked.partition("?")[2]
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading")).to_have_text("Allow access?")
    await expect(page.get_by_role("checkbox")).to_have_count(2)
    # A click on the box itself: its label lies over it, and takes the click.
    await page.get_by_role("checkbox", name="Change").uncheck(force=True)
    await page.get_by_role("button", name="Approve").click()
    answer = await lands(page, desk)
    assert answer.keys() == {"code", "state", "iss"}
    assert answer["state"] == "state-of-the-test"
    assert answer["iss"] == desk.server.url
    assert await desk.token_scope() == "mcp:read"
    assert desk.complaints == [WRONG_PASSWORD]


@pytest.mark.requirement("AS-23", "attack-13")
@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
async def test_person_who_denies_sends_the_client_away_with_access_denied(desk: Desk, javascript: bool) -> None:
    before = await desk.server.services.grants.live(100)
    page = await desk.page(java_script_enabled=javascript)
    await sign_in(page)
    await page.get_by_role("button", name="Deny").click()
    answer = await lands(page, desk)
    assert answer.keys() == {"error", "error_description", "state", "iss"}
    assert answer["error"] == "access_denied"
    assert answer["state"] == "state-of-the-test"
    assert answer["iss"] == desk.server.url
    assert await desk.server.services.grants.live(100) == before
    assert desk.complaints == []


async def test_approving_nothing_stays_on_the_page_and_says_so(desk: Desk) -> None:
    page = await desk.page()
    await sign_in(page)
    for box in await page.get_by_role("checkbox").all():
        await box.uncheck(force=True)  # its label lies over it, and takes the click
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("alert")).to_have_text("Choose at least one permission, or deny the request.")
    assert desk.callback.arrived == []
    boxes = await page.get_by_role("checkbox").all()
    assert not any([await box.is_checked() for box in boxes])
    await boxes[0].check(force=True)
    await page.get_by_role("button", name="Approve").click()
    await lands(page, desk)
    assert await desk.token_scope() == "mcp:read"


async def test_keyboard_alone_is_enough(desk: Desk) -> None:
    page = await desk.page()
    keyboard = page.keyboard
    await expect(page.get_by_label("User name")).to_be_focused()
    await keyboard.type(OWNER)
    await keyboard.press("Tab")
    await expect(page.get_by_label("Password")).to_be_focused()
    await keyboard.type(PASSWORD)
    await keyboard.press("Enter")
    await expect(page.get_by_role("heading")).to_have_text("Allow access?")
    stops = [
        page.get_by_role("checkbox", name="Read"),
        page.get_by_role("checkbox", name="Change"),
        page.get_by_role("button", name="Deny"),
        page.get_by_role("button", name="Approve"),
    ]
    for number, stop in enumerate(stops):
        await keyboard.press("Tab")
        await expect(stop).to_be_focused()
        style = await stop.evaluate("element => getComputedStyle(element).outlineStyle")
        assert style == "solid"
        if number == 1:
            await keyboard.press("Space")
            await expect(stop).not_to_be_checked()
    await keyboard.press("Enter")
    assert (await lands(page, desk)).keys() == {"code", "state", "iss"}
    assert await desk.token_scope() == "mcp:read"


async def test_enter_outside_the_buttons_never_approves(desk: Desk) -> None:
    page = await desk.page()
    await sign_in(page)
    await page.get_by_role("checkbox", name="Read").focus()
    await page.keyboard.press("Enter")
    assert (await lands(page, desk))["error"] == "access_denied"


@pytest.mark.requirement("attack-25")
async def test_session_cookie_changes_at_login_and_never_reaches_the_client(desk: Desk) -> None:
    page = await desk.page()
    before = await page.context.cookies()
    await sign_in(page)
    await expect(page.get_by_role("heading")).to_have_text("Allow access?")
    after = await page.context.cookies()
    await page.get_by_role("button", name="Approve").click()
    await lands(page, desk)
    for cookie in (*before, *after):
        assert cookie["path"].startswith("/s/")
        assert cookie["httpOnly"] is True
        assert cookie["sameSite"] == "Lax"
    assert len(before) == len(after) == 1
    assert not {cookie["value"] for cookie in before} & {cookie["value"] for cookie in after}
    assert not {cookie["path"] for cookie in before} & {cookie["path"] for cookie in after}
    assert await page.context.cookies() == []
    # localhost is one host to cookies, whatever the port; and the address of the page is nobody's business.
    fields = next(fields for target, fields in desk.callback.arrived if target.startswith("/callback"))
    assert "cookie" not in fields
    assert "referer" not in fields


@pytest.mark.requirement("attack-24")
async def test_public_client_is_asked_for_again(desk: Desk) -> None:
    page = await desk.page()
    await sign_in(page)
    await page.get_by_role("button", name="Approve").click()
    await lands(page, desk)
    await page.goto(desk.url())
    await sign_in(page)
    await expect(page.get_by_role("heading")).to_have_text("Allow access?")


@pytest.mark.requirement("attack-21", "PX-03")
async def test_pages_do_not_show_in_a_frame(desk: Desk) -> None:
    context = await desk.profile()
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await page.goto(desk.callback.uri)
    async with page.expect_event("console", lambda message: "frame-ancestors" in message.text):
        await page.evaluate(
            "url => { const frame = document.createElement('iframe'); frame.src = url; document.body.append(frame); }",
            desk.url(),
        )
    assert [text for text in said if urlsplit(desk.server.url).netloc in text]
    assert "Sign in" not in [await frame.title() for frame in page.frames]


async def test_person_signs_out_and_is_asked_to_sign_in_again(desk: Desk) -> None:
    page = await desk.page()
    await page.goto(f"{desk.server.url}/account")
    await sign_in(page)
    await page.get_by_role("link", name="Sign out").click()
    await expect(page.get_by_role("heading")).to_have_text("Sign out?")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading")).to_have_text("You are signed out")
    await page.goto(desk.url())
    await expect(page.get_by_role("heading")).to_have_text("Sign in")
    assert desk.complaints == []
