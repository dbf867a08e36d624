"""The owner's first login in Chromium: the generated password must be replaced before anything is granted."""

from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import Callback, Desk, sign_in
from tests.conftest import MakeServer
from tests.support.oauth import OAuthClient

NEW = "a password nobody else has"
CHOOSE = "Choose a new password"


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
async def test_owner_replaces_the_generated_password_and_goes_on_to_consent(
    chromium: Browser,
    make_server: MakeServer,
    callback: Callback,
    tmp_path_factory: pytest.TempPathFactory,
    javascript: bool,
) -> None:
    database = tmp_path_factory.mktemp("first") / "first.db"
    env = {"MCP_OAUTH_DATABASE_URL": f"sqlite:///{database}", "MCP_OAUTH_ADMIN_PASSWORD": ""}
    async with make_server(**env) as server, AsyncExitStack() as stack:
        generated = server.server._opened.owner_password
        assert generated is not None
        client = OAuthClient(server, redirect_uri=callback.uri)
        stack.push_async_callback(client.close)
        desk = Desk(chromium, server, callback, client, stack)
        page = await desk.page(java_script_enabled=javascript)
        await sign_in(page, generated)
        for first, second, complaint in (
            (NEW, "something else altogether", "The two passwords differ."),
            ("short", "short", "The password needs at least 12 characters."),
            (generated, generated, "Choose a password that differs from the user name and from the present password."),
        ):
            await expect(page.get_by_role("heading")).to_have_text(CHOOSE)
            await page.get_by_label("New password", exact=True).fill(first)
            await page.get_by_label("New password, again").fill(second)
            await page.get_by_role("button", name="Save and continue").click()
            await expect(page.get_by_role("alert")).to_have_text(complaint)
        # Going around the page does not help.
        await page.goto(desk.url())
        await sign_in(page, generated)
        await expect(page.get_by_role("heading")).to_have_text(CHOOSE)
        await page.get_by_label("New password", exact=True).fill(NEW)
        await page.get_by_label("New password, again").fill(NEW)
        await page.get_by_role("button", name="Save and continue").click()
        await expect(page.get_by_role("heading")).to_have_text("Allow access?")
        await page.get_by_role("button", name="Approve").click()
        await page.wait_for_url(f"{callback.uri}?*")
        assert await desk.token_scope() == "mcp:read mcp:write"
        other = await desk.page(java_script_enabled=javascript)
        await sign_in(other, generated)
        await expect(other.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
        await sign_in(other, NEW)
        await expect(other.get_by_role("heading")).to_have_text("Allow access?")
