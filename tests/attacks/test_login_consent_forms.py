"""Login and consent are given only through the server's own form, in the browser and for the request it was made for."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from html import escape

import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.authorize import (
    ALICE_PASSWORD,
    add_user,
    answered,
    browser_of,
    consent_page,
    redirected_error,
    refused,
    shown,
    state_of,
)
from tests.support.browser import Browser, form_of
from tests.support.databases import Template
from tests.support.issuers import HTTPS
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running, running

APPROVE = ("decision", "approve")
DENY = ("decision", "deny")
OWNER_FIELDS = {"username": OWNER, "password": PASSWORD}


@pytest.fixture(scope="module", params=["", HTTPS], ids=["http", "https"])
async def server(
    template: Template, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Running]:
    """One server of each kind for the module: its tests look at what they change themselves."""
    async with running(template, tmp_path_factory.mktemp("server"), {"MCP_OAUTH_ISSUER": request.param}) as found:
        yield found


async def refused_unchanged(server: Running, posting: Callable[[], Awaitable[httpx2.Response]]) -> None:
    """The form is refused with 403, and neither a session nor a consent nor a code came of it."""
    before = await state_of(server)
    reply = await posting()
    refused(reply, "access_denied", 403)
    assert "set-cookie" not in reply.headers
    assert await state_of(server) == before


def with_csrf(page: httpx2.Response, csrf: str) -> httpx2.Response:
    """The page as if its form held another token."""
    text = page.text.replace(form_of(page.text).fields["csrf"], csrf)
    return httpx2.Response(page.status_code, text=text, request=page.request)


@pytest.mark.requirement("attack-21", "attack-29")
async def test_every_page_forbids_framing_storing_and_scripts(browser: Browser, client: OAuthClient) -> None:
    # `shown` checks all headers of a page.
    page = await browser.http.get(client.url(Pkce.new()))
    shown(page)
    shown(await browser.submit(page, {**OWNER_FIELDS, "password": "wrong"}), 400)
    page = await browser.sign_in(page)
    shown(page)
    shown(await browser.submit(page, checkboxes={}, button=APPROVE), 400)
    shown(await browser.http.get("/oauth/logout"))
    shown(await browser.http.get(str(page.url)))
    refused(await browser.http.get("/oauth/authorize"))
    refused(await browser.http.get("/oauth/logout?post_logout_redirect_uri=https://evil.example"))
    assert not re.search("<script| style=| on[a-z]+=", page.text)


@pytest.mark.requirement("attack-29")
async def test_redirect_with_a_code_sends_no_referrer_and_may_not_be_kept(
    browser: Browser, client: OAuthClient
) -> None:
    page = await consent_page(browser, client.url(Pkce.new()))
    # `answered` checks both headers.
    assert "code" in answered(await browser.consent(page), client, 303)


@pytest.mark.requirement("attack-22")
@pytest.mark.parametrize("step", ["login", "consent"])
@pytest.mark.parametrize("csrf", ["", "x", ".", "1.", "0.0", "99999999999.00", "\u0661.0", "-1.0", "1" * 5000])
async def test_form_with_a_forged_token_is_refused(
    server: Running, browser: Browser, client: OAuthClient, step: str, csrf: str
) -> None:
    page = await browser.http.get(client.url(Pkce.new()))
    fields, button = OWNER_FIELDS, None
    if step == "consent":
        page, fields, button = await browser.sign_in(page), {}, APPROVE
    await refused_unchanged(server, lambda: browser.submit(page, {**fields, "csrf": csrf}, button=button))
    right = form_of(page.text).fields["csrf"]
    at, _, mac = right.partition(".")
    for forged in (
        right[:-1],
        f"{int(at) + 1}.{mac}",
        f"{at}.{mac.upper()}",
        f"{at}.{mac[::-1]}",
        f" {right}",
        f"{right}0",
    ):
        await refused_unchanged(
            server, lambda forged=forged: browser.submit(page, {**fields, "csrf": forged}, button=button)
        )
    assert (await browser.submit(page, fields, button=button)).status_code == 303


@pytest.mark.requirement("attack-22")
@pytest.mark.parametrize("step", ["login", "consent"])
async def test_form_without_a_token_is_refused(
    server: Running, browser: Browser, client: OAuthClient, step: str
) -> None:
    url = client.url(Pkce.new())
    page = await browser.http.get(url)
    data: dict[str, str] = OWNER_FIELDS
    if step == "consent":
        page, data = await browser.sign_in(page), {"decision": "approve", "scope": "mcp:read"}
    await refused_unchanged(server, lambda: browser.http.post(url, data=data))


@pytest.mark.requirement("attack-22")
@pytest.mark.parametrize("step", ["login", "consent"])
async def test_form_left_open_for_longer_than_an_hour_is_refused(
    server: Running, browser: Browser, client: OAuthClient, step: str
) -> None:
    page = await browser.http.get(client.url(Pkce.new()))
    fields, button = OWNER_FIELDS, None
    if step == "consent":
        page, fields, button = await browser.sign_in(page), {}, APPROVE
    server.clock.advance(3601)
    await refused_unchanged(server, lambda: browser.submit(page, fields, button=button))
    server.clock.advance(-1)
    assert (await browser.submit(page, fields, button=button)).status_code == 303


@pytest.mark.requirement("attack-22", "attack-23")
async def test_token_of_another_browser_is_refused(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await add_user(server)
    attacker = browser_of(closing, server)
    url = client.url(Pkce.new())
    theirs = await attacker.http.get(url)
    page = await browser.http.get(url)
    # Neither their login form in our browser, nor ours in theirs; and not without any session.
    await refused_unchanged(server, lambda: browser.submit(theirs, OWNER_FIELDS))
    await refused_unchanged(server, lambda: attacker.submit(page, OWNER_FIELDS))
    stranger = browser_of(closing, server)
    await refused_unchanged(server, lambda: stranger.submit(theirs, OWNER_FIELDS))
    theirs, page = await attacker.sign_in(theirs), await browser.sign_in(page)
    await refused_unchanged(server, lambda: browser.submit(theirs, button=APPROVE))
    await refused_unchanged(server, lambda: attacker.submit(page, button=APPROVE))
    await refused_unchanged(server, lambda: stranger.submit(theirs, button=APPROVE))
    await refused_unchanged(server, lambda: browser.submit(theirs, button=DENY))


@pytest.mark.requirement("attack-23")
async def test_consent_of_one_browser_says_nothing_about_another(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await add_user(server, "mallory")
    attacker = browser_of(closing, server, "mallory")
    url = client.url(Pkce.new())
    page = await consent_page(attacker, url)
    assert "code" in answered(await attacker.consent(page), client, 303)
    # The victim opens the very same URL: a login first, and then a consent of their own.
    page = await browser.http.get(url)
    assert 'type="password"' in shown(page)
    page = await browser.sign_in(page)
    assert "<strong><bdi>admin</bdi>" in page.text or "<dd><bdi>admin</bdi>" in page.text
    assert "decision" in form_of(page.text).buttons


@pytest.mark.requirement("attack-22")
@pytest.mark.parametrize("step", ["login", "consent"])
async def test_token_of_another_request_is_refused(
    server: Running, browser: Browser, client: OAuthClient, step: str
) -> None:
    url = client.url(Pkce.new(), scope="mcp:read")
    pages = [await browser.http.get(url)]
    fields, button = OWNER_FIELDS, None
    if step == "consent":
        pages, fields, button = [await browser.sign_in(pages[0])], {}, APPROVE
    csrf = form_of(pages[0].text).fields["csrf"]
    for change in ({"scope": "mcp:admin"}, {"state": "other"}, {"redirect_uri": "http://localhost:1/callback"}):
        query = httpx2.URL(client.url(Pkce.new(), **{"scope": "mcp:read", **change})).query.decode()
        action = form_of(pages[0].text).action.partition("?")[0]
        text = re.sub(r'action="[^"]*"', f'action="{escape(f"{action}?{query}")}"', pages[0].text)
        forged = httpx2.Response(200, text=text, request=pages[0].request)
        assert form_of(text).fields["csrf"] == csrf
        await refused_unchanged(server, lambda forged=forged: browser.submit(forged, fields, button=button))


@pytest.mark.requirement("attack-22")
async def test_token_of_the_login_form_is_not_one_of_the_consent_form(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    await consent_page(browser, client.url(Pkce.new()))
    login = await browser.http.get(client.url(Pkce.new(), prompt="login"))
    data = {"csrf": form_of(login.text).fields["csrf"], "decision": "approve", "scope": "mcp:read"}
    for where in (form_of(login.text).action, str(login.url)):
        await refused_unchanged(server, lambda where=where: browser.http.post(where, data=data))


@pytest.mark.requirement("attack-22")
@pytest.mark.parametrize("step", ["login", "consent"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
async def test_form_sent_from_another_site_is_refused(
    server: Running, browser: Browser, client: OAuthClient, step: str, headers: dict[str, str]
) -> None:
    page = await browser.http.get(client.url(Pkce.new()))
    fields, button = OWNER_FIELDS, None
    if step == "consent":
        page, fields, button = await browser.sign_in(page), {}, APPROVE
    await refused_unchanged(server, lambda: browser.submit(page, fields, button=button, headers=headers))
    assert (await browser.submit(page, fields, button=button)).status_code == 303


@pytest.mark.requirement("attack-22")
async def test_allowed_origin_and_the_other_loopback_name_may_send_the_form(
    make_server: MakeServer, closing: AsyncExitStack
) -> None:
    server = await closing.enter_async_context(make_server(MCP_OAUTH_ALLOW_ORIGINS="https://console.example"))
    client, browser = OAuthClient(server), browser_of(closing, server, OWNER, PASSWORD)
    closing.push_async_callback(client.close)
    for origin in ("https://console.example", f"http://127.0.0.1:{server.port}"):
        page = await browser.http.get(client.url(Pkce.new(), prompt="login"))
        reply = await browser.submit(page, OWNER_FIELDS, headers={"Origin": origin})
        assert reply.status_code == 303
    page = await browser.http.get(client.url(Pkce.new(), prompt="login"))
    await refused_unchanged(
        server, lambda: browser.submit(page, OWNER_FIELDS, headers={"Origin": "https://console.example.evil"})
    )


@pytest.mark.requirement("attack-22")
async def test_page_opened_before_another_person_signed_in_is_of_no_use_after_it(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    page = await consent_page(browser, client.url(Pkce.new()))
    again = await browser.http.get(client.url(Pkce.new(), prompt="login"))
    if server.url.startswith("https:"):
        await add_user(server, "bob")
        await browser.submit(again, {"username": "bob", "password": ALICE_PASSWORD})
        await refused_unchanged(server, lambda: browser.submit(page, button=APPROVE))
        return
    # An http issuer has a session for each request: who signs in elsewhere does not matter.
    await browser.sign_in(again)
    assert (await browser.submit(page, button=APPROVE)).status_code == 303


@pytest.mark.requirement("attack-22", "attack-25")
async def test_page_opened_before_the_same_person_signed_in_again_is_still_good(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    # As in two tabs: the session that the form was made in has ended, and the browser is the same.
    page = await consent_page(browser, client.url(Pkce.new()))
    before = browser.session
    await browser.sign_in(await browser.http.get(client.url(Pkce.new(), prompt="login")))
    if server.url.startswith("https:"):
        assert browser.session != before
    assert "code" in answered(await browser.submit(page, button=APPROVE), client, 303)


@pytest.mark.requirement("AS-37")
async def test_unknown_decision_is_refused_and_deny_is_told_to_the_client(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    page = await consent_page(browser, client.url(Pkce.new()))
    before = await state_of(server)
    refused(await browser.submit(page, {"decision": "maybe"}))
    reply = await browser.submit(page, button=DENY)
    redirected_error(reply, client, "access_denied", status=303)
    after = await state_of(server)
    assert {name for name in before if before[name] != after[name]} <= {"browser_sessions"}
