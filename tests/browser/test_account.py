"""A person at their account, in Chromium: what they connected, a token that ends, their browsers, their password."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Desk, sign_in
from tests.support.authorize import ALICE_PASSWORD, add_user
from tests.support.mcp_http import ask

NEW = "a new password of alice"


async def allow(page: Page, desk: Desk, *without: str) -> str:
    """Consent, with these permissions taken out; returns the access token."""
    for name in without:
        await page.get_by_role("checkbox", name=name).uncheck(force=True)  # its label takes the click
    await page.get_by_role("button", name="Approve").click()
    await page.wait_for_url(f"{desk.callback.uri}**")
    reply = await desk.client.redeem(desk.callback.answer["code"], desk.pkce)
    assert reply.status_code == 200, reply.text
    token: str = reply.json()["access_token"]
    return token


@pytest.fixture
async def alice(desk: Desk) -> str:
    """Somebody of her own for a test that changes her account."""
    name = f"alice-{desk.callback.port}"
    await add_user(desk.server, name)
    return name


@pytest.mark.requirement("attack-64")
async def test_person_takes_the_access_back_and_the_gate_answers_401(desk: Desk, alice: str) -> None:
    page = await desk.page()
    await sign_in(page, ALICE_PASSWORD, alice)
    token = await allow(page, desk, "Change")
    assert (await ask(desk.client.http, "modern", "tools/list", token=token)).status_code == 200
    await page.goto(f"{desk.server.url}/")
    await page.get_by_role("link", name="See which applications you connected").click()
    await sign_in(page, ALICE_PASSWORD, alice)
    application = page.get_by_role("article", name="MCP Docker Dev Server")
    await expect(application).to_contain_text("mcp:read")
    await expect(application).not_to_contain_text("mcp:write")
    await application.get_by_role("button", name="Disconnect").click()
    await expect(page.get_by_role("status")).to_have_text("The application was disconnected. Its access ended at once.")
    await expect(application).to_have_count(0)
    assert (await ask(desk.client.http, "modern", "tools/list", token=token)).status_code == 401
    await page.goto(f"{desk.server.url}/account")
    await expect(page.get_by_role("status")).to_have_count(0)
    assert desk.complaints == []


async def test_person_signs_the_other_browser_out_and_changes_the_password(desk: Desk, alice: str) -> None:
    here, elsewhere = await desk.page(), await desk.page()
    for page in (here, elsewhere):
        await page.goto(f"{desk.server.url}/account")
        await sign_in(page, ALICE_PASSWORD, alice)
        await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    await here.reload()
    await here.get_by_role("button", name="Sign out everywhere else").click()
    await expect(here.get_by_role("status")).to_have_text("You are signed out in every other browser.")
    await elsewhere.reload()
    await expect(elsewhere.get_by_role("heading")).to_have_text("Sign in")
    for present, said in (("not mine at all", "alert"), (ALICE_PASSWORD, "status")):
        await here.get_by_label("Present password").fill(present)
        await here.get_by_label("New password", exact=True).fill(NEW)
        await here.get_by_label("New password, again").fill(NEW)
        await here.get_by_role("button", name="Change password").click()
        await expect(here.get_by_role(said)).to_be_visible()  # type: ignore[arg-type]
    await sign_in(elsewhere, ALICE_PASSWORD, alice)
    await expect(elsewhere.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    await sign_in(elsewhere, NEW, alice)
    await expect(elsewhere.get_by_role("heading", name="Your account")).to_be_visible()


async def test_account_works_with_the_keyboard_alone(desk: Desk, alice: str) -> None:
    page = await desk.page()
    await sign_in(page, ALICE_PASSWORD, alice)
    await allow(page, desk)
    await page.goto(f"{desk.server.url}/account")
    await sign_in(page, ALICE_PASSWORD, alice)
    await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    reached = []
    for _ in range(8):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id || ''")
        )
        if reached[-1] == "Disconnect":
            await page.keyboard.press("Enter")
            break
    assert reached == ["Sign out", "Disconnect"]
    await expect(page.get_by_role("status")).to_contain_text("disconnected")
    order = []
    for _ in range(5):
        await page.keyboard.press("Tab")
        order.append(await page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert order == ["Sign out", "password", "new_password", "new_password_again", "Change password"]


async def test_a_click_selects_a_whole_configuration(desk: Desk) -> None:
    page = await desk.page()
    await page.goto(f"{desk.server.url}/")
    block = page.locator("pre").nth(2)
    await block.click()
    assert (await page.evaluate("getSelection().toString()")).strip() == await block.inner_text()


async def test_browser_that_opens_the_wrong_address_finds_the_start_page(desk: Desk) -> None:
    page = await desk.page()
    for path, heading in (
        ("/mcp", "This is the MCP endpoint"),
        ("/oauth/token", "This address is for applications"),
        ("/oauth/authorise", "There is nothing here"),
        ("/oauth/authorize", "This request cannot be served"),
    ):
        await page.goto(f"{desk.server.url}{path}")
        await expect(page.get_by_role("heading")).to_have_text(heading)
        await page.get_by_role("link", name="Start page of this server").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("An MCP server with OAuth 2.1")
