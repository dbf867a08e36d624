"""The account page: what a person connected, taken away again; their browsers; their password."""

import re
from contextlib import AsyncExitStack

import httpx2
import pytest
from sqlalchemy import select

from oauth_server.store.schema import audit
from tests.support.authorize import (
    ALICE_PASSWORD,
    add_user,
    browser_of,
    consent_page,
    count,
    refused,
    registered,
    shown,
    state_of,
)
from tests.support.browser import Browser, asks_to_sign_in, form_of
from tests.support.issuers import both_issuers, https_issuer
from tests.support.mcp_http import ask
from tests.support.oauth import OAuthClient, Pkce
from tests.support.people import owner_of, set_ceiling
from tests.support.server import PASSWORD, Running

NEW = "a new password of mine"
PASSWORD_FORM = ("action", "password")
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


async def opened(browser: Browser) -> httpx2.Response:
    """The account page, after signing in where that is asked for."""
    page = await browser.http.get("/account")
    if asks_to_sign_in(page):
        page = await browser.sign_in(page)
    assert "Connected applications" in shown(page)
    return page


def sent_to(reply: httpx2.Response, location: str) -> str:
    """The URL of the redirect, which leads to `location`; on an http issuer, under the session's path."""
    found: str = reply.headers["location"]
    assert (reply.status_code, re.sub(r"^/s/[\w-]{22}/", "/", found)) == (303, location)
    assert reply.headers["cache-control"] == "no-store"
    return found


async def events(server: Running, name: str) -> list[tuple[str, str, str, str]]:
    """(outcome, actor, client_id, detail) of the audit events of one name."""
    statement = select(audit.c.outcome, audit.c.actor, audit.c.client_id, audit.c.detail).where(audit.c.event == name)
    return await server.services.store.read(lambda c: [tuple(row) for row in c.execute(statement)])


@both_issuers
async def test_account_asks_to_sign_in_and_stores_nothing_before(server: Running, browser: Browser) -> None:
    before = await state_of(server)
    page = await browser.http.get("/account")
    assert "An application" not in shown(page)
    assert await state_of(server) == before
    reply = await browser.submit(page, {"username": "admin", "password": "not the password"})
    assert "The user name or the password is wrong." in shown(reply, 400)
    assert await state_of(server) == before
    reply = await browser.submit(reply, {"username": "admin", "password": PASSWORD})
    page = await browser.http.get(sent_to(reply, "/account"))
    assert "You are signed in as <strong><bdi>admin</bdi></strong>" in shown(page)
    assert "No application can use this server in your name." in page.text
    assert await count(server, "browser_sessions") == 1


@pytest.mark.requirement("attack-25")
@both_issuers
async def test_nothing_of_the_login_page_is_kept(browser: Browser) -> None:
    page = await browser.http.get("/account")
    (before,) = browser.http.cookies.jar
    await browser.sign_in(page)
    (after,) = [cookie for cookie in browser.http.cookies.jar if "mcp_browser" not in cookie.name]
    assert not {before.name[-22:], before.value} & {after.name[-22:], after.value}


async def test_applications_are_shown_with_what_they_may_do_since_when(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    app = await registered(closing, server, client_name="<b>Editor</b>", redirect_uris=["https://app.example/cb"])
    await client.tokens(browser)
    server.clock.advance(86_399)  # a client that nobody has used yet ends after a day
    await app.tokens(browser, scope="mcp:read offline_access")
    html = shown(await opened(browser))
    first, second = html.split("<article")[1:]
    assert '<bdi class="name">&lt;b&gt;Editor&lt;/b&gt;</bdi>' in first
    assert "Nobody has verified it." in first
    assert "Read <code>mcp:read</code>, Stay connected <code>offline_access</code>" in first
    assert "<bdi>app.example</bdi>" in first
    assert app.client_id in first
    assert '<bdi class="name">MCP Docker Dev Server</bdi>' in second
    assert "verified" not in second
    assert "Change <code>mcp:write</code>" in second
    since = '<dt>Connected since</dt><dd><time datetime="'
    days = [part.partition(since)[2][:10] for part in (first, second)]
    assert days[0] > days[1]


@pytest.mark.requirement("attack-64")
@both_issuers
async def test_disconnecting_ends_the_access_token_at_once(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    app = await registered(closing, server)
    tokens, kept = await app.tokens(browser), await client.tokens(browser)
    page = await opened(browser)
    assert await status_at_the_gate(app, tokens) == 200
    reply = await browser.submit(page, {"client_id": app.client_id}, button=("action", "disconnect"))
    page = await browser.http.get(sent_to(reply, "/account?done=disconnect"))
    assert "The application was disconnected." in shown(page)
    assert app.client_id not in page.text
    assert await status_at_the_gate(app, tokens) == 401
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert await status_at_the_gate(client, kept) == 200
    assert await events(server, "application.disconnected") == [("success", "admin", app.client_id, "1 grants revoked")]
    # A second browser that still shows the button changes nothing more.
    before = await state_of(server)
    await browser.submit(page, {"client_id": app.client_id}, button=("action", "disconnect"))
    assert await state_of(server) == before


async def status_at_the_gate(client: OAuthClient, tokens: dict[str, str]) -> int:
    return (await ask(client.http, "modern", "tools/list", token=tokens["access_token"])).status_code


@https_issuer
async def test_disconnecting_forgets_the_consent_of_a_confidential_client(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    app = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
    await app.tokens(browser)
    assert (await browser.http.get(app.url(Pkce.new()))).status_code == 302
    page = await opened(browser)
    await browser.submit(page, {"client_id": app.client_id}, button=("action", "disconnect"))
    assert "Allow access?" in shown(await browser.http.get(app.url(Pkce.new())))


@pytest.mark.requirement("attack-70")
@both_issuers
async def test_nobody_sees_or_disconnects_what_another_person_connected(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await client.tokens(browser)
    await add_user(server)
    alice = browser_of(closing, server)
    page = await opened(alice)
    assert client.client_id not in page.text
    before = (await state_of(server))["grants"]
    other = form_of((await opened(browser)).text, ("action", "disconnect"))
    form = form_of(page.text, PASSWORD_FORM)
    data = {"csrf": form.fields["csrf"], "action": "disconnect", "client_id": other.fields["client_id"]}
    sent_to(await alice.http.post(str(page.url), data=data, headers=OWN_PAGE), "/account?done=disconnect")
    assert (await state_of(server))["grants"] == before
    assert await events(server, "application.disconnected") == []


async def test_what_a_person_may_no_longer_grant_is_not_shown_as_allowed(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    await client.tokens(browser)
    await set_ceiling(server, await owner_of(server), "mcp:read")
    html = shown(await opened(browser))
    assert "mcp:read" in html
    assert "mcp:write" not in html


@both_issuers
async def test_other_browsers_are_signed_out_and_this_one_stays(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    elsewhere = browser_of(closing, server, "admin", PASSWORD)
    other = await opened(elsewhere)
    await add_user(server)
    alice = browser_of(closing, server)
    hers = await opened(alice)
    page = await opened(browser)
    assert page.text.count("<li>since") == 1
    reply = await browser.submit(page, button=("action", "end_sessions"))
    page = await browser.http.get(sent_to(reply, "/account?done=end_sessions"))
    assert "You are signed out in every other browser." in shown(page)
    assert "You are signed in nowhere else." in page.text
    assert "password" in form_of((await elsewhere.reload(other)).text).inputs
    assert "Connected applications" in (await alice.reload(hers)).text
    assert await events(server, "sessions.ended") == [("success", "admin", "", "1 other sessions")]


@both_issuers
async def test_password_changes_with_the_present_one_and_ends_other_sessions(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    tokens = await client.tokens(browser)
    elsewhere = browser_of(closing, server, "admin", PASSWORD)
    other = await opened(elsewhere)
    page = await opened(browser)
    fields = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    reply = await browser.submit(page, fields, button=PASSWORD_FORM)
    page = await browser.http.get(sent_to(reply, "/account?done=password"))
    assert "Your password was changed" in shown(page)
    assert "password" in form_of((await elsewhere.reload(other)).text).inputs
    # An application was trusted by the person, not by the password.
    assert await status_at_the_gate(client, tokens) == 200
    await opened(browser_of(closing, server, "admin", NEW))
    old = await browser_of(closing, server, "admin", PASSWORD).http.get("/account")
    assert "username" in form_of(old.text).inputs


@pytest.mark.requirement("attack-25")
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"password": "wrong", "new_password": NEW, "new_password_again": NEW}, "The present password is wrong."),
        ({"password": "", "new_password": NEW, "new_password_again": NEW}, "The present password is wrong."),
        ({"password": "\x00", "new_password": NEW, "new_password_again": NEW}, "NUL"),
        ({"password": PASSWORD, "new_password": NEW, "new_password_again": "other"}, "The two passwords differ."),
        ({"password": PASSWORD, "new_password": "short", "new_password_again": "short"}, "at least 12 characters"),
        ({"password": PASSWORD, "new_password": PASSWORD, "new_password_again": PASSWORD}, "differs from"),
    ],
    ids=["wrong", "empty", "nul", "differ", "short", "same"],
)
async def test_password_stays_when_the_form_is_not_right(
    server: Running, browser: Browser, fields: dict[str, str], sentence: str
) -> None:
    page = await opened(browser)
    before = await state_of(server)
    html = shown(await browser.submit(page, fields, button=PASSWORD_FORM), 400)
    assert sentence in html
    assert not {NEW, PASSWORD} & set(html.split('"'))
    assert await state_of(server) == before


@both_issuers
async def test_a_generated_password_is_replaced_before_anything_else(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await add_user(server, must_change_password=True)
    alice = browser_of(closing, server)
    page = await alice.sign_in(await alice.http.get("/account"))
    assert "Choose a new password" in shown(page)
    csrf = form_of(page.text).fields["csrf"]
    data = {"csrf": csrf, "action": "end_sessions"}
    reply = await alice.http.post(str(page.url), data=data, headers=OWN_PAGE)
    sent_to(reply, "/account")
    html = shown(await alice.submit(page, {"new_password": "short", "new_password_again": "short"}), 400)
    assert "at least 12 characters" in html
    reply = await alice.submit(page, {"new_password": NEW, "new_password_again": NEW})
    assert "Connected applications" in shown(await alice.http.get(sent_to(reply, "/account?done=password")))


@pytest.mark.requirement("attack-22")
@both_issuers
async def test_no_other_site_and_no_other_browser_can_send_a_form(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await client.tokens(browser)
    page = await opened(browser)
    await add_user(server)
    theirs = form_of((await opened(browser_of(closing, server))).text, PASSWORD_FORM).fields["csrf"]
    asked = await consent_page(browser, client.url(Pkce.new()))
    consent = form_of(asked.text).fields["csrf"]
    before = await state_of(server)
    for action in ("disconnect", "end_sessions", "password"):
        data = {"action": action, "client_id": client.client_id, "password": PASSWORD}
        data |= {"new_password": NEW, "new_password_again": NEW}
        for csrf in ("", "1.2", theirs, consent):
            sent = {**data, "csrf": csrf}
            refused(await browser.http.post(str(page.url), data=sent, headers=OWN_PAGE), "access_denied", 403)
        refused(await browser.http.post(str(page.url), data=data, headers=OWN_PAGE), "access_denied", 403)
    button = ("action", "disconnect")
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        refused(await browser.submit(page, button=button, headers=headers), "access_denied", 403)
    server.clock.advance(3601)
    refused(await browser.submit(page, button=button), "access_denied", 403)
    assert await state_of(server) == before


@both_issuers
async def test_a_link_from_elsewhere_cannot_say_that_something_was_done(browser: Browser) -> None:
    page = await opened(browser)
    for site in ("cross-site", "same-site", "none", ""):
        reply = await browser.http.get(f"{page.url}?done=password", headers={"Sec-Fetch-Site": site})
        assert "Your password was changed" not in reply.text


@both_issuers
async def test_a_form_of_an_ended_session_asks_to_sign_in_again(server: Running, browser: Browser) -> None:
    page = await opened(browser)
    server.clock.advance(12 * 3600)
    fresh = server.services.sessions.csrf(browser.form_key, "/account")
    reply = await browser.submit(page, {"csrf": fresh}, button=PASSWORD_FORM)
    assert "Your session has ended; sign in again." in shown(reply, 400)


async def test_an_unknown_action_is_refused(browser: Browser) -> None:
    page = await opened(browser)
    data = {"csrf": form_of(page.text, PASSWORD_FORM).fields["csrf"], "action": "delete"}
    refused(await browser.http.post(str(page.url), data=data, headers=OWN_PAGE))


@pytest.mark.requirement("attack-25")
@https_issuer
async def test_over_https_the_account_shares_the_one_host_cookie(browser: Browser, client: OAuthClient) -> None:
    await opened(browser)
    (cookie, _) = browser.http.cookies.jar
    assert cookie.name.startswith("__Host-mcp_")
    assert "decision" in form_of((await browser.http.get(client.url(Pkce.new()))).text).buttons


@pytest.mark.requirement("attack-25")
async def test_over_http_the_account_s_session_is_at_its_own_path_alone(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    page = await opened(browser)
    base = str(page.url).removesuffix("/account")
    asked = client.url(Pkce.new()).removeprefix(server.url)
    for url in ("/account", asked, f"{base}{asked}", f"/s/{'x' * 22}/account", "/s/x/account"):
        assert asks_to_sign_in(await browser.reload(page, url))
    assert "Sign out?" in (await browser.follow(page, "/oauth/logout")).text
    assert "You are signed out" in (await browser.reload(page, "/oauth/logout")).text
    assert await count(server, "browser_sessions") == 1


@pytest.mark.requirement("attack-22", "attack-25")
@both_issuers
@pytest.mark.parametrize(
    ("headers", "served"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": ""}, False),
        ({"Sec-Fetch-Site": "Same-Origin"}, False),
        ({"Sec-Fetch-Site": "same-origin, cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "{own}", "Referer": "{own}/account"}, False),
        ({"Origin": "{own}"}, True),
        ({"Origin": "null"}, False),
        ({"Origin": "{own}.evil.example"}, False),
        ({"Origin": "https://evil.example", "Referer": "{own}/account"}, False),
        ({"Referer": "{own}/account"}, True),
        ({"Referer": "http://localhost:1/account"}, False),
        ({"Referer": "https://evil.example/{own}/"}, False),
        ({"Referer": "http://["}, False),
        ({}, False),
    ],
    ids=str,
)
async def test_session_path_is_served_to_our_own_pages_alone(
    server: Running, browser: Browser, closing: AsyncExitStack, headers: dict[str, str], served: bool
) -> None:
    page = await browser.http.get("/account")
    login = await browser.submit(page, {"username": "admin", "password": PASSWORD})
    own = server.url
    sent = {name: value.format(own=own) for name, value in headers.items()}
    jar = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.http.cookies.jar)
    http = await closing.enter_async_context(server.client())
    place = login.headers["location"] if own.startswith("http:") else f"/s/{'x' * 22}/account"
    before = await state_of(server)
    told = [
        await http.get(place, headers=sent | {"Cookie": jar}),
        await http.get(f"/s/{'y' * 22}/account", headers=sent | {"Cookie": jar}),
        await http.get("/s/y/oauth/authorize", headers=sent),
        await http.post(place, headers=sent | {"Cookie": jar}, data={"csrf": "x", "action": "end_sessions"}),
    ]
    if served:
        assert "Connected applications" in shown(told[0])
    else:
        pages = {refused(reply, "access_denied", 403) for reply in told}
        assert len(pages) == 1
        assert not any("set-cookie" in reply.headers for reply in told)
    assert await state_of(server) == before


@pytest.mark.requirement("attack-25")
@both_issuers
async def test_session_path_whose_address_was_opened_asks_first(server: Running, browser: Browser) -> None:
    # Another server's redirect of a typed address looks the same to us.
    page = await opened(browser)
    url = str(page.url) if server.url.startswith("http:") else f"/s/{'x' * 22}/account"
    asked = await browser.http.get(url)
    assert "Go on here?" in shown(asked)
    assert "admin" not in asked.text
    other = await browser.http.get(f"/s/{'y' * 22}/account")
    assert asked.text.replace(url.removeprefix(server.url), "") == other.text.replace(f"/s/{'y' * 22}/account", "")
    assert "Connected applications" in (await browser.follow(asked, "/account")).text


async def test_alice_signs_in_with_her_own_password(server: Running, closing: AsyncExitStack) -> None:
    await add_user(server)
    alice = browser_of(closing, server, password=ALICE_PASSWORD)
    assert "<bdi>alice</bdi>" in (await opened(alice)).text
