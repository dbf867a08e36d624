"""Chromium at the consent page: what starts unticked, and what the page that opened the window can still do with it."""

import pytest

from tests.browser.conftest import Desk, sign_in


@pytest.mark.requirement("AS-16", "AS-39")
async def test_administration_starts_unticked_and_is_granted_only_where_it_is_ticked(desk: Desk) -> None:
    page = await desk.page()
    await page.goto(desk.url(scope="mcp:read mcp:admin"))
    await sign_in(page)
    assert await page.get_by_label("Read").is_checked()
    assert not await page.get_by_label("Administer").is_checked()
    await page.get_by_role("button", name="Approve").click()
    await page.wait_for_url(f"{desk.callback.uri}*")
    assert await desk.token_scope() == "mcp:read"


@pytest.mark.requirement("AS-16", "AS-17")
async def test_page_that_opened_the_window_cannot_send_it_elsewhere_once_consent_is_asked(desk: Desk) -> None:
    opener = await (await desk.profile()).new_page()
    await opener.goto(f"http://localhost:{desk.callback.port}/opener")
    async with opener.expect_popup() as popup:
        await opener.evaluate("url => { window.opened = window.open(url) }", desk.url())
    window = await popup.value
    await sign_in(window)
    await window.get_by_role("button", name="Approve").wait_for()
    # For the opener it is closed: no handle is left, and what it assigns leads nowhere.
    assert await opener.evaluate("window.opened.closed")
    await opener.evaluate(f"window.opened.location = 'http://localhost:{desk.callback.port}/elsewhere'")
    await window.get_by_role("button", name="Approve").click()
    await window.wait_for_url(f"{desk.callback.uri}*")
    assert await desk.token_scope() == "mcp:read mcp:write"
    assert not any("elsewhere" in target for target, _ in desk.callback.arrived)
