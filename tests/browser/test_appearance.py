"""The pages as Chromium lays them out: phone width, light and dark, styled, with nothing blocked by the policy."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.browser.conftest import Desk, sign_in
from tests.support.oauth import OAuthClient

PHONE = ViewportSize(width=390, height=844)
NARROWEST = ViewportSize(width=320, height=568)  # WCAG 2.2, success criterion 1.4.10
EVERY_SCOPE = "mcp:read mcp:write mcp:admin openid profile email offline_access"
LAYOUT = """() => {
    const wide = [...document.querySelectorAll('body *')].filter(element => {
        const box = element.getBoundingClientRect();
        return box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5);
    });
    return {
        overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        wide: wide.map(element => element.outerHTML.slice(0, 80)),
        buttons: [...document.querySelectorAll('button')].map(button => button.getBoundingClientRect().height),
        ground: getComputedStyle(document.body).backgroundColor,
        ink: getComputedStyle(document.querySelector('h1')).color,
    };
}"""


def lightness(colour: str) -> float:
    """The mean of the channels of `rgb(…)`, 0 to 255."""
    channels = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(channels) / 3


async def laid_out(page: Page, scheme: str) -> None:
    """Nothing is cut off or needs scrolling sideways; the ground and the ink are those of the scheme."""
    found = await page.evaluate(LAYOUT)
    assert found["overflow"] == 0, page.url
    assert found["wide"] == []
    assert all(height >= 44 for height in found["buttons"]), found["buttons"]
    shades = {"ground": lightness(found["ground"]), "ink": lightness(found["ink"])}
    assert shades.pop({"light": "ground", "dark": "ink"}[scheme]) > 200
    assert max(shades.values()) < 100


@pytest.fixture
async def long_names(desk: Desk) -> AsyncIterator[Desk]:
    """A desk whose client has a name without a blank in it, and asks for everything."""
    name = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
    registered = await OAuthClient.register(desk.server, client_name=name, redirect_uris=[desk.callback.uri])
    await desk.client.close()
    desk.client = registered
    yield desk
    await registered.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, NARROWEST], ids=["390 px", "320 px"])
async def test_every_page_fits_a_phone(long_names: Desk, scheme: str, viewport: ViewportSize) -> None:
    page = await long_names.page(color_scheme=scheme, viewport=viewport)
    await page.goto(long_names.url(scope=EVERY_SCOPE))
    await laid_out(page, scheme)
    await sign_in(page, "not the password at all")
    await expect(page.get_by_role("alert")).to_be_visible()
    await laid_out(page, scheme)
    await sign_in(page)
    await expect(page.get_by_role("checkbox")).to_have_count(7)
    await laid_out(page, scheme)
    for box in await page.get_by_role("checkbox").all():
        await box.uncheck(force=True)  # its label lies over it, and takes the click
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await laid_out(page, scheme)
    await page.goto(f"{long_names.server.url}/account")
    await sign_in(page)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    await laid_out(page, scheme)
    await page.goto(page.url)
    await expect(page.get_by_role("heading")).to_have_text("Go on here?")
    await laid_out(page, scheme)
    await page.get_by_role("link", name="Go on").click()
    await page.get_by_role("link", name="Sign out").click()
    await expect(page.get_by_role("heading")).to_have_text("Sign out?")
    await laid_out(page, scheme)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading")).to_have_text("You are signed out")
    await laid_out(page, scheme)
    await page.goto(f"{long_names.server.url}/oauth/authorize?client_id={'x' * 200}")
    await expect(page.get_by_role("heading")).to_be_visible()
    await laid_out(page, scheme)
    # Chromium's own remarks on the statuses of the three pages with an error; the policy blocked nothing.
    assert [text.partition(" with a status of ")[2][:3] for text in long_names.complaints] == ["400", "400", "400"]


@pytest.mark.requirement("AS-16", "AS-17", "attack-30")
async def test_consent_shows_before_any_scrolling_who_asks_and_on_a_desktop_where_the_answer_goes(desk: Desk) -> None:
    page = await desk.page(viewport=ViewportSize(width=1280, height=900))
    await sign_in(page)
    for said in ("MCP Docker Dev Server", "an application on this computer", "Go on only if you just started this"):
        await expect(page.get_by_text(said, exact=False).first).to_be_in_viewport()
    await expect(page.get_by_role("button", name="Approve")).to_be_in_viewport()
    assert await page.evaluate("scrollY") == 0


@pytest.mark.requirement("attack-29")
async def test_stylesheet_is_applied_and_inline_code_would_be_blocked(desk: Desk) -> None:
    page = await desk.page()
    accent = await page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--accent')")
    red, green, blue = bytes.fromhex(accent.strip().removeprefix("#"))
    colour = await page.get_by_role("button").evaluate("element => getComputedStyle(element).backgroundColor")
    assert colour == f"rgb({red}, {green}, {blue})"
    assert desk.complaints == []
    # A script, a style or an image that found its way into the page would not run or load.
    blocked = await page.evaluate(
        """async () => {
            const seen = [];
            document.addEventListener('securitypolicyviolation', event => seen.push(event.effectiveDirective));
            document.body.insertAdjacentHTML('beforeend', '<p style="color:red" onclick="1">x</p><img src="/x.png">');
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.body.append(script);
            await new Promise(done => setTimeout(done, 100));
            return {seen, ran: window.ran === true};
        }"""
    )
    assert blocked["ran"] is False
    assert {"style-src-attr", "script-src-attr", "script-src-elem", "img-src"} <= set(blocked["seen"])
