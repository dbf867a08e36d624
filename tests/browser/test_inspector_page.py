"""MCP Inspector's web page in Chromium, connected directly: each of its requests comes from a page of another origin."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import sign_in
from tests.support.inspector_page import fetch, served
from tests.support.npm import TEST_SECONDS, UnavailableError
from tests.support.server import Running

pytestmark = pytest.mark.timeout(TEST_SECONDS)


@pytest.fixture(scope="module")
def inspector() -> Iterator[str]:
    """The address of the inspector's page."""
    try:
        folder = fetch()
    except UnavailableError as error:
        pytest.skip(f"MCP Inspector: {error}")
    with served(folder) as url:
        yield url


@pytest.mark.requirement("attack-68", "RS-09", "AS-21", "AS-23")
async def test_inspector_connects_from_its_page_without_a_setting(
    chromium: Browser, server: Running, inspector: str
) -> None:
    page = await chromium.new_page()
    page.set_default_timeout(20_000)
    called: set[tuple[str, str]] = set()
    page.on("request", lambda request: called.add((request.method, urlsplit(request.url).path)))
    await page.goto(f"{inspector}/?transport=streamable-http&serverUrl={server.url}/mcp")
    await page.get_by_label("Connection Type").click()
    await page.get_by_role("option", name="Direct").click()
    await page.get_by_role("button", name="Connect", exact=True).click()
    # The person signs in and consents at the server's own pages.
    await sign_in(page)
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    assert page.url.startswith(inspector)
    await page.get_by_role("tab", name="Tools").click()
    await page.get_by_role("button", name="List Tools").click()
    await page.get_by_text("Authorization server metadata", exact=True).click()
    await page.get_by_role("button", name="Run Tool").click()
    await expect(page.get_by_text("Tool Result: Success")).to_be_visible()
    # From the page itself, and not through a program beside it.
    for used in (("POST", "/mcp"), ("POST", "/oauth/register"), ("POST", "/oauth/token")):
        assert used in called
    await page.close()
