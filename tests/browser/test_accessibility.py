"""Every page, in light and dark, as axe judges it (WCAG 2.2 A and AA, and axe's own best practices)."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import RUN_AXE, Desk, sign_in
from tests.support.authorize import ALICE_PASSWORD, add_user
from tests.support.npm import TEST_SECONDS
from tests.support.server import PASSWORD


class Judged:
    """A page under axe."""

    def __init__(self, page: Page, source: str) -> None:
        self.page = page
        self._source = source

    async def sound(self, heading: str) -> None:
        """The page of this heading has no violation, and nothing that axe could not decide."""
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)
        await self.page.evaluate(self._source)
        found = await self.page.evaluate(RUN_AXE)
        assert found["violations"] == [], heading
        assert found["incomplete"] == [], heading
        assert found["passes"] > 0


@pytest.fixture(params=["light", "dark"])
async def judged(request: pytest.FixtureRequest, desk: Desk, axe: str) -> Judged:
    """A page that shows an authorization request, in one of the two schemes."""
    return Judged(await desk.page(color_scheme=request.param), axe)


@pytest.mark.timeout(TEST_SECONDS)
async def test_axe_finds_nothing_on_any_page(desk: Desk, judged: Judged) -> None:
    page, url = judged.page, desk.server.url
    await judged.sound("Sign in")
    await sign_in(page, "not the password at all")
    await judged.sound("Sign in")
    await sign_in(page, PASSWORD)
    await judged.sound("Allow access?")
    for box in await page.get_by_role("checkbox").all():
        await box.uncheck(force=True)  # its label lies over it, and takes the click
    await page.get_by_role("button", name="Approve").click()
    await judged.sound("Allow access?")
    await page.get_by_role("checkbox", name="Read").check(force=True)
    await page.get_by_role("button", name="Approve").click()
    await page.wait_for_url(f"{desk.callback.uri}**")
    await desk.token_scope()
    for path, heading in (
        ("/", "An MCP server with OAuth 2.1"),
        ("/mcp", "This is the MCP endpoint"),
        ("/oauth/token", "This address is for applications"),
        ("/nowhere", "There is nothing here"),
        ("/oauth/authorize", "This request cannot be served"),
    ):
        await page.goto(url + path)
        await judged.sound(heading)
    await page.goto(f"{url}/account")
    await sign_in(page, PASSWORD)
    await judged.sound("Your account")
    await page.get_by_label("Present password").fill("wrong")
    for label in ("New password", "New password, again"):
        await page.get_by_label(label, exact=True).fill("something new and long")
    await page.get_by_role("button", name="Change password").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await judged.sound("Your account")
    await page.goto(page.url)
    await judged.sound("Go on here?")
    await page.get_by_role("link", name="Go on").click()
    await page.get_by_role("link", name="Sign out").click()
    await judged.sound("Sign out?")
    await page.get_by_role("button", name="Sign out").click()
    await judged.sound("You are signed out")
    name = f"new-{desk.callback.port}"
    await add_user(desk.server, name, must_change_password=True)
    await page.goto(f"{url}/account")
    await sign_in(page, ALICE_PASSWORD, name)
    await judged.sound("Choose a new password")
