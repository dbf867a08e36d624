"""Several tabs at once, cookies that are blocked, and an issuer to which browsers send no Fetch Metadata."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.conftest import ARGUMENTS, PLAIN_NAME, Callback, Desk, OtherPort, sign_in
from tests.support.databases import Template
from tests.support.oauth import OAuthClient, Pkce
from tests.support.program import free_port
from tests.support.server import Running, running


async def approves(page: Page) -> None:
    await expect(page.get_by_role("heading")).to_have_text("Allow access?")
    await page.get_by_role("button", name="Approve").click()
    await expect(page).to_have_title("The client")


@pytest.mark.requirement("AS-01")
async def test_two_tabs_at_the_sign_in_page_both_work(desk: Desk) -> None:
    context = await desk.profile()
    first, second = await context.new_page(), await context.new_page()
    await first.goto(desk.url(state="first"))
    await second.goto(desk.url(state="second"))
    await sign_in(first)
    await expect(first.get_by_role("heading")).to_have_text("Allow access?")
    await sign_in(second)
    await approves(first)
    await approves(second)
    states = [
        target.partition("state=")[2].partition("&")[0] for target, _ in desk.callback.arrived if "code=" in target
    ]
    assert states == ["first", "second"]


@pytest.mark.requirement("AS-01")
async def test_two_tabs_at_the_account_page_both_work(desk: Desk) -> None:
    context = await desk.profile()
    tabs = [await context.new_page() for _ in range(2)]
    for page in tabs:
        await page.goto(f"{desk.server.url}/account")
    for page in tabs:
        await sign_in(page)
        await expect(page.get_by_role("heading", name="Your account")).to_be_visible()


@pytest.mark.requirement("AS-01")
async def test_where_cookies_are_blocked_the_page_says_so(chromium_path: str, server: Running, tmp_path: Path) -> None:
    preferences = tmp_path / "Default" / "Preferences"
    preferences.parent.mkdir()
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    preferences.write_text(json.dumps(blocked), encoding="utf-8")
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=chromium_path, args=ARGUMENTS
        )
        page = await context.new_page()
        for url in (f"{server.url}/account", OAuthClient(server).url(Pkce.new())):
            await page.goto(url)
            assert await context.cookies() == []
            await sign_in(page)
            await expect(page.get_by_text("Allow cookies for this address")).to_be_visible()
        await context.close()


# Plain http to a name that is not this computer's own (MCP_OAUTH_REQUIRE_HTTPS=false)


@pytest.fixture
async def plain(chromium: Browser, template: Template, tmp_path: Path, callback: Callback) -> AsyncIterator[Desk]:
    """A person at such a server."""
    async with AsyncExitStack() as stack:
        port = free_port()
        env = {"MCP_OAUTH_ISSUER": f"http://{PLAIN_NAME}:{port}", "MCP_OAUTH_REQUIRE_HTTPS": "false"}
        server = await stack.enter_async_context(running(template, tmp_path, env, port=port))
        client = OAuthClient(server, redirect_uri=callback.uri)
        stack.push_async_callback(client.close)
        yield Desk(chromium, server, callback, client, stack)


@pytest.mark.requirement("AS-01", "attack-22")
async def test_without_fetch_metadata_the_pages_work_by_origin_and_referer(plain: Desk) -> None:
    page = await (await plain.profile()).new_page()
    sent: list[dict[str, str]] = []
    page.on("request", lambda request: sent.append(request.headers))
    await page.goto(f"{plain.server.url}/account")
    await sign_in(page)
    await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    await page.get_by_label("Present password").fill("wrong")
    await page.get_by_label("New password", exact=True).fill("a new password of mine")
    await page.get_by_label("New password, again").fill("a new password of mine")
    await page.get_by_role("button", name="Change password").click()
    await expect(page.get_by_role("alert")).to_have_text("The present password is wrong.")
    await page.get_by_role("link", name="Sign out").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading")).to_have_text("You are signed out")
    assert not [fields for fields in sent if "sec-fetch-site" in fields]


@pytest.mark.requirement("attack-22", "attack-25")
async def test_without_fetch_metadata_another_server_s_page_opens_no_session(plain: Desk, other: OtherPort) -> None:
    page = await (await plain.profile()).new_page()
    await page.goto(f"{plain.server.url}/account")
    await sign_in(page)
    await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    session = page.url
    start = f'<a href="{session}">link</a><form method="post" action="{session}"><button>form</button></form>'
    other.page("/start", start, Referrer_Policy="unsafe-url")
    for role in ("link", "button"):
        await page.goto(f"http://{PLAIN_NAME}:{other.port}/start")
        await page.get_by_role(role).click()
        await expect(page.get_by_text("opens only from this server's own pages")).to_be_visible()
    # The referrer of our own page does not come back by way of a client that asks for it.
    plain.client.redirect_uri = other.redirect("/callback", session, Referrer_Policy="unsafe-url")
    await page.goto(plain.url())
    await sign_in(page)
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_text("opens only from this server's own pages")).to_be_visible()
    await page.goto(session)
    await expect(page.get_by_text("opens only from this server's own pages")).to_be_visible()
