"""Browser sessions: their cookie, their end, and the password that the owner chooses at the first login."""

from contextlib import AsyncExitStack
from http.cookies import Morsel, SimpleCookie
from pathlib import Path

import httpx2
import pytest
from argon2 import PasswordHasher

from tests.conftest import MakeServer
from tests.support.authorize import (
    ALICE_PASSWORD,
    add_user,
    answered,
    browser_of,
    consent_page,
    count,
    redirected_error,
    shown,
    state_of,
)
from tests.support.browser import Browser, form_of
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running

CREDENTIALS = {"username": OWNER, "password": PASSWORD}
NEW = "a new password of mine"


def cookies(reply: httpx2.Response) -> list[Morsel[str]]:
    """The cookies a response sets, each of which stands in a header of its own."""
    found = []
    for line in reply.headers.get_list("set-cookie"):
        (morsel,) = SimpleCookie(line).values()
        found.append(morsel)
    return found


def session_cookies(reply: httpx2.Response) -> list[Morsel[str]]:
    """Those that hold the session id."""
    return [morsel for morsel in cookies(reply) if "mcp_session" in morsel.key]


def asks_for_password(page: httpx2.Response) -> bool:
    return "password" in form_of(page.text).inputs


@pytest.mark.requirement("attack-25")
async def test_cookie_over_http_has_the_port_in_its_name_and_never_the_path_of_a_callback(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    page = await browser.http.get(client.url(Pkce.new()))
    login = await browser.submit(page, CREDENTIALS)
    for reply in (page, login):
        morsels = session_cookies(reply)
        assert {morsel["path"] for morsel in morsels} >= {"/oauth/authorize", "/oauth/logout"}
        assert len({morsel.value for morsel in morsels}) == 1
        for morsel in morsels:
            assert morsel.key == f"mcp_session_{server.port}"
            # A cookie of localhost reaches every port, so no path of it may be one where a client listens.
            assert morsel["path"].startswith(("/oauth/authorize", "/oauth/logout", "/account"))
            assert morsel["httponly"] is True
            assert morsel["samesite"].lower() == "lax"
            assert not morsel["secure"]
            assert not morsel["domain"]
            assert not morsel["expires"]
            assert not morsel["max-age"]


@pytest.mark.requirement("attack-25", "AS-29")
async def test_cookie_of_an_https_issuer_is_bound_to_the_host(make_server: MakeServer, closing: AsyncExitStack) -> None:
    issuer = "https://mcp.example.com"
    server = await closing.enter_async_context(make_server(MCP_OAUTH_ISSUER=issuer))
    client = OAuthClient(server)
    closing.push_async_callback(client.close)
    own = {"Host": "mcp.example.com", "Origin": issuer}
    http = await closing.enter_async_context(
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=own)
    )
    # The jar holds back a Secure cookie, since the proxy in front of the server is left out here.
    path = client.url(Pkce.new()).removeprefix(issuer)
    page = await http.get(path)
    (before,) = cookies(page)
    form = form_of(shown(page))
    login = await http.post(
        form.action, data={**form.fields, **CREDENTIALS}, headers={"Cookie": f"{before.key}={before.value}"}
    )
    assert login.status_code == 303
    (after,) = session_cookies(login)
    for morsel in (before, after):
        assert morsel.key == "__Host-mcp_session"
        assert (morsel["path"], morsel["domain"]) == ("/", "")
        assert (morsel["secure"], morsel["httponly"], morsel["samesite"].lower()) == (True, True, "lax")
    assert before.value != after.value
    page = await http.get(path, headers={"Cookie": f"{after.key}={after.value}"})
    form = form_of(shown(page))
    assert form.buttons["decision"] == ["deny", "approve"]
    signed_in = {"Cookie": f"{after.key}={after.value}"}
    data = {**form.fields, "scope": form.checkboxes["scope"], "decision": "approve"}
    # Its own origin is the issuer, not the address that it is reached at.
    wrong = {**signed_in, "Origin": f"http://127.0.0.1:{server.port}"}
    assert (await http.post(form.action, data=data, headers=wrong)).status_code == 403
    answer = answered(await http.post(form.action, data=data, headers=signed_in), client, 303)
    assert answer["iss"] == issuer
    page = await http.get("/oauth/logout", headers=signed_in)
    form = form_of(shown(page))
    reply = await http.post(form.action, data=form.fields, headers=signed_in)
    (cleared,) = cookies(reply)
    assert (cleared.key, cleared["path"], cleared["max-age"]) == ("__Host-mcp_session", "/", "0")
    assert cleared["secure"] is True


@pytest.mark.requirement("attack-25")
async def test_session_ends_after_twelve_hours(server: Running, browser: Browser, client: OAuthClient) -> None:
    page = await consent_page(browser, client.url(Pkce.new()))
    server.clock.advance(12 * 3600 - 1)
    page = await browser.http.get(client.url(Pkce.new()))
    assert not asks_for_password(page)
    server.clock.advance(1)
    assert asks_for_password(await browser.http.get(client.url(Pkce.new())))
    # Nor does a consent form that was opened in time go through.
    late = await browser.submit(page, button=("decision", "approve"))
    assert asks_for_password(late)
    shown(late, 400)
    assert await count(server, "codes") == 0


@pytest.mark.requirement("attack-25")
async def test_session_outlives_a_restart(make_server: MakeServer, closing: AsyncExitStack) -> None:
    url = "http://localhost:8000"
    async with make_server(MCP_OAUTH_ISSUER=url) as server:
        client = OAuthClient(server)
        closing.push_async_callback(client.close)
        path = client.url(Pkce.new()).removeprefix(url)
        browser = Browser(f"http://localhost:{server.port}", OWNER, PASSWORD)
        closing.push_async_callback(browser.close)
        page = await browser.http.get(path)
        login = await browser.submit(page, CREDENTIALS, headers={"Origin": url})
        assert login.status_code == 303
    async with make_server(MCP_OAUTH_ISSUER=url) as server:
        page = await browser.http.get(f"http://localhost:{server.port}{path}")
        assert not asks_for_password(page)


# The first login of the owner


@pytest.mark.requirement("AS-01")
async def test_owner_of_a_first_start_without_a_password_chooses_one_at_the_first_login(
    make_server: MakeServer, tmp_path: Path, closing: AsyncExitStack
) -> None:
    env = {"MCP_OAUTH_ADMIN_PASSWORD": "", "MCP_OAUTH_DATABASE_URL": f"sqlite:///{tmp_path}/first.db"}
    server = await closing.enter_async_context(make_server(**env))
    opened = server.server._opened
    assert opened is not None
    generated = opened.owner_password
    assert generated is not None
    assert len(generated) >= 24
    client, browser = OAuthClient(server), browser_of(closing, server, OWNER, generated)
    closing.push_async_callback(client.close)
    pkce = Pkce.new()
    page = await browser.sign_in(await browser.http.get(client.url(pkce)))
    assert set(form_of(shown(page)).inputs) >= {"new_password", "new_password_again"}
    await client_gets_nothing_yet(server, browser, client)
    page = await browser.submit(page, {"new_password": NEW, "new_password_again": NEW})
    assert page.status_code == 303
    reply = await browser.consent(await browser.http.get(page.headers["location"]))
    assert (await client.redeem(answered(reply, client, 303)["code"], pkce)).status_code == 200
    for password, status in ((generated, 400), (NEW, 303)):
        page = await browser.http.get(client.url(pkce, prompt="login"))
        assert (await browser.submit(page, {"username": OWNER, "password": password})).status_code == status


@pytest.mark.requirement("attack-22")
async def test_form_for_a_first_password_takes_none_from_somebody_who_has_one(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    page = await browser.http.get(client.url(Pkce.new()))
    await browser.sign_in(page)
    url = client.url(Pkce.new())
    csrf = server.services.sessions.csrf(browser.session_id, f"password {url.partition('?')[2]}")
    fields = {"csrf": csrf, "new_password": NEW, "new_password_again": NEW}
    reply = await browser.http.post(url, data=fields)
    assert (reply.status_code, reply.headers["location"]) == (303, url.removeprefix(server.url))
    page = await browser.http.get(client.url(Pkce.new(), prompt="login"))
    assert (await browser.submit(page, {"username": OWNER, "password": NEW})).status_code == 400


async def client_gets_nothing_yet(server: Running, browser: Browser, client: OAuthClient) -> None:
    """Whoever still has to choose a password cannot consent, by any way round the form."""
    redirected_error(await browser.http.get(client.url(Pkce.new(), prompt="none")), client, "login_required")
    url = client.url(Pkce.new())
    csrf = server.services.sessions.csrf(browser.session_id, f"consent {url.partition('?')[2]}")
    reply = await browser.http.post(url, data={"csrf": csrf, "decision": "approve", "scope": "mcp:read"})
    assert (reply.status_code, reply.headers["location"]) == (303, url.removeprefix(server.url))
    assert "new_password" in form_of((await browser.http.get(url)).text).inputs
    assert await count(server, "codes") == await count(server, "consents") == 0


@pytest.mark.requirement("attack-28")
@pytest.mark.parametrize(
    ("new", "again", "said"),
    [
        ("eleven char", None, "at least 12 characters"),
        ("", None, "at least 12 characters"),
        (NEW, f"{NEW}!", "differ"),
        (NEW, "", "differ"),
        (ALICE_PASSWORD, None, "differs from"),
        ("alice-with-a-long-name", None, "differs from"),
        ("x" * 1025, None, "longer than 1024 bytes"),
        ("\u20ac" * 342, None, "longer than 1024 bytes"),
        ("\ufdfa" * 2, None, None),
    ],
    ids=lambda value: ascii(value)[:24],
)
async def test_new_password_that_is_not_acceptable_changes_nothing(
    server: Running, client: OAuthClient, closing: AsyncExitStack, new: str, again: str | None, said: str | None
) -> None:
    await add_user(server, "alice-with-a-long-name", must_change_password=True)
    browser = browser_of(closing, server, "alice-with-a-long-name")
    page = await browser.sign_in(await browser.http.get(client.url(Pkce.new())))
    before = await state_of(server)
    fields = {"new_password": new, "new_password_again": new if again is None else again}
    reply = await browser.submit(page, fields)
    if said is None:  # what counts are the characters that are hashed, here 18 of each
        assert reply.status_code == 303
        return
    assert said in shown(reply, 400)
    assert form_of(reply.text).fields["new_password"] == form_of(reply.text).fields["new_password_again"] == ""
    assert await state_of(server) == before
    reply = await browser.submit(reply, {"new_password": NEW, "new_password_again": NEW})
    assert reply.status_code == 303


@pytest.mark.requirement("attack-22", "attack-25")
async def test_changing_the_password_needs_the_form_and_ends_the_other_sessions(
    server: Running, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await add_user(server, must_change_password=True)
    mine, other = browser_of(closing, server), browser_of(closing, server)
    url = client.url(Pkce.new())
    page = await mine.sign_in(await mine.http.get(url))
    await other.sign_in(await other.http.get(url))
    fields = {"new_password": NEW, "new_password_again": NEW}
    before = await state_of(server)
    for change in ({"csrf": "1.2"}, {"csrf": server.services.sessions.csrf("x", "login " + url.partition("?")[2])}):
        shown(await mine.submit(page, {**fields, **change}), 403)
    shown(await mine.submit(page, fields, headers={"Origin": "https://evil.example"}), 403)
    shown(await other.submit(page, fields), 403)
    assert await state_of(server) == before
    assert (await mine.submit(page, fields)).status_code == 303
    assert "decision" in form_of(shown(await mine.http.get(url))).buttons
    assert asks_for_password(await other.http.get(url))
    (row,) = [row for row in (await state_of(server))["users"] if "alice" in row]
    (stored,) = [value for value in row if isinstance(value, str) and value.startswith("$argon2id$")]
    assert PasswordHasher().verify(stored, NEW)
