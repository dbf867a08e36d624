"""The account page: what a person connected, taken away again; their browsers; their password."""

from contextlib import AsyncExitStack

import httpx2
import pytest
from sqlalchemy import select

from oauth_server.store.schema import audit
from tests.conftest import MakeServer
from tests.support.authorize import (
    ALICE_PASSWORD,
    add_user,
    browser_of,
    count,
    refused,
    registered,
    shown,
    state_of,
)
from tests.support.browser import Browser, form_of, forms_of
from tests.support.mcp_http import ask
from tests.support.oauth import OAuthClient, Pkce
from tests.support.people import owner_of, set_ceiling
from tests.support.server import PASSWORD, Running

NEW = "a new password of mine"
PASSWORD_FORM = ("action", "password")


async def opened(browser: Browser) -> httpx2.Response:
    """The account page, after signing in where that is asked for."""
    page = await browser.http.get("/account")
    if "username" in forms_of(page.text)[0].inputs:
        page = await browser.sign_in(page)
    assert "Connected applications" in shown(page)
    return page


def sent_to(reply: httpx2.Response, location: str) -> str:
    assert (reply.status_code, reply.headers["location"]) == (303, location)
    assert reply.headers["cache-control"] == "no-store"
    return location


async def events(server: Running, name: str) -> list[tuple[str, str, str, str]]:
    """(outcome, actor, client_id, detail) of the audit events of one name."""
    statement = select(audit.c.outcome, audit.c.actor, audit.c.client_id, audit.c.detail).where(audit.c.event == name)
    return await server.services.store.read(lambda c: [tuple(row) for row in c.execute(statement)])


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
async def test_session_id_of_the_login_page_is_replaced(browser: Browser) -> None:
    page = await browser.http.get("/account")
    before = browser.session_id
    await browser.sign_in(page)
    assert browser.session_id != before


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
async def test_disconnecting_ends_the_access_token_at_once(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    app = await registered(closing, server)
    tokens, kept = await app.tokens(browser), await client.tokens(browser)
    page = await opened(browser)
    assert await status_at_the_gate(app, tokens) == 200
    reply = await browser.submit(page, {"client_id": app.client_id}, button=("action", "disconnect"))
    page = await browser.http.get(sent_to(reply, "/account?done=disconnect"), headers={"Sec-Fetch-Site": "same-origin"})
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
    sent_to(await alice.http.post("/account", data=data), "/account?done=disconnect")
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


async def test_other_browsers_are_signed_out_and_this_one_stays(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    elsewhere = browser_of(closing, server, "admin", PASSWORD)
    await opened(elsewhere)
    await add_user(server)
    alice = browser_of(closing, server)
    await opened(alice)
    page = await opened(browser)
    assert page.text.count("<li>since") == 1
    reply = await browser.submit(page, button=("action", "end_sessions"))
    page = await browser.http.get(
        sent_to(reply, "/account?done=end_sessions"), headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert "You are signed out in every other browser." in shown(page)
    assert "You are signed in nowhere else." in page.text
    assert "password" in form_of((await elsewhere.http.get("/account")).text).inputs
    assert "Connected applications" in (await alice.http.get("/account")).text
    assert await events(server, "sessions.ended") == [("success", "admin", "", "1 other sessions")]


async def test_password_changes_with_the_present_one_and_ends_other_sessions(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    tokens = await client.tokens(browser)
    elsewhere = browser_of(closing, server, "admin", PASSWORD)
    await opened(elsewhere)
    page = await opened(browser)
    fields = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    reply = await browser.submit(page, fields, button=PASSWORD_FORM)
    page = await browser.http.get(sent_to(reply, "/account?done=password"), headers={"Sec-Fetch-Site": "same-origin"})
    assert "Your password was changed" in shown(page)
    assert "password" in form_of((await elsewhere.http.get("/account")).text).inputs
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


async def test_a_generated_password_is_replaced_before_anything_else(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await add_user(server, must_change_password=True)
    alice = browser_of(closing, server)
    page = await alice.sign_in(await alice.http.get("/account"))
    assert "Choose a new password" in shown(page)
    csrf = form_of(page.text).fields["csrf"]
    reply = await alice.http.post("/account", data={"csrf": csrf, "action": "end_sessions"})
    sent_to(reply, "/account")
    html = shown(await alice.submit(page, {"new_password": "short", "new_password_again": "short"}), 400)
    assert "at least 12 characters" in html
    reply = await alice.submit(page, {"new_password": NEW, "new_password_again": NEW})
    assert "Connected applications" in shown(await alice.http.get(sent_to(reply, "/account?done=password")))


@pytest.mark.requirement("attack-22")
async def test_no_other_site_and_no_other_browser_can_send_a_form(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await client.tokens(browser)
    page = await opened(browser)
    await add_user(server)
    theirs = form_of((await opened(browser_of(closing, server))).text, PASSWORD_FORM).fields["csrf"]
    consent = form_of((await browser.http.get(client.url(Pkce.new()))).text).fields["csrf"]
    before = await state_of(server)
    for action in ("disconnect", "end_sessions", "password"):
        data = {"action": action, "client_id": client.client_id, "password": PASSWORD}
        data |= {"new_password": NEW, "new_password_again": NEW}
        for csrf in ("", "1.2", theirs, consent):
            refused(await browser.http.post("/account", data={**data, "csrf": csrf}), "access_denied", 403)
        refused(await browser.http.post("/account", data=data), "access_denied", 403)
    button = ("action", "disconnect")
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        refused(await browser.submit(page, button=button, headers=headers), "access_denied", 403)
    server.clock.advance(3601)
    refused(await browser.submit(page, button=button), "access_denied", 403)
    assert await state_of(server) == before


async def test_a_link_from_elsewhere_cannot_say_that_something_was_done(browser: Browser) -> None:
    await opened(browser)
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}):
        page = await browser.http.get("/account?done=password", headers=headers)
        assert "Your password was changed" not in shown(page)


async def test_a_form_of_an_ended_session_asks_to_sign_in_again(server: Running, browser: Browser) -> None:
    page = await opened(browser)
    server.clock.advance(12 * 3600)
    fresh = server.services.sessions.csrf(browser.session_id, "/account")
    reply = await browser.submit(page, {"csrf": fresh}, button=PASSWORD_FORM)
    assert "Your session has ended; sign in again." in shown(reply, 400)


async def test_an_unknown_action_is_refused(browser: Browser) -> None:
    csrf = form_of((await opened(browser)).text, PASSWORD_FORM).fields["csrf"]
    refused(await browser.http.post("/account", data={"csrf": csrf, "action": "delete"}))


@pytest.mark.requirement("attack-25")
async def test_over_https_the_account_shares_the_one_host_cookie(make_server: MakeServer) -> None:
    async with make_server(MCP_OAUTH_ISSUER="https://mcp.example.com") as server:
        headers = {"Host": "mcp.example.com"}
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers) as http:
            reply = await http.get("/account")
        (line,) = reply.headers.get_list("set-cookie")
        assert line.startswith("__Host-mcp_session=")
        assert "Path=/;" in line
        assert "Secure" in line


async def test_alice_signs_in_with_her_own_password(server: Running, closing: AsyncExitStack) -> None:
    await add_user(server)
    alice = browser_of(closing, server, password=ALICE_PASSWORD)
    assert "<bdi>alice</bdi>" in (await opened(alice)).text
