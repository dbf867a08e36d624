"""Browser sessions: their cookies, their end, and the password that the owner chooses at the first login."""

import hashlib
import re
from contextlib import AsyncExitStack
from http.cookies import Morsel, SimpleCookie
from pathlib import Path

import httpx2
import pytest
from argon2 import PasswordHasher

from oauth_server.store.verbs import users
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
from tests.support.browser import Browser, asks_to_sign_in, form_of
from tests.support.issuers import HTTPS, both_issuers, https_issuer
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running

CREDENTIALS = {"username": OWNER, "password": PASSWORD}
NEW = "a new password of mine"
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


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
@pytest.mark.parametrize("path", ["/account", "/oauth/authorize"])
async def test_cookies_over_http_have_a_path_and_a_name_that_no_other_server_can_guess(
    server: Running, browser: Browser, client: OAuthClient, path: str
) -> None:
    asked = client.url(Pkce.new()) if path == "/oauth/authorize" else path
    seen = set()
    for _ in range(2):
        page = await browser.http.get(asked)
        (form,) = cookies(page)
        login = await browser.submit(page, CREDENTIALS)
        gone, session = cookies(login)
        location = httpx2.URL(login.headers["location"])
        assert form_of(page.text).action.startswith(f"{form['path']}{path}")
        assert str(location).startswith(f"{session['path']}{path}")
        assert (gone.key, gone["path"], gone["max-age"]) == (form.key, form["path"], "0")
        for morsel, kind in ((form, "form"), (session, "session")):
            place = re.fullmatch(r"/s/([A-Za-z0-9_-]{22})(\.[0-9]+\.[0-9a-f]{64})?", morsel["path"])
            assert place is not None
            assert morsel.key == f"mcp_{kind}_{server.port}_{place[1]}"
            assert morsel["httponly"] is True
            assert morsel["samesite"].lower() == "lax"
            assert not morsel["secure"]
            assert not morsel["domain"]
            seen |= {morsel.value, place[1]}
        assert (form["max-age"], session["max-age"]) == ("7200", "")
    assert len(seen) == 8


@pytest.mark.requirement("attack-25", "AS-29")
@https_issuer
async def test_cookies_of_an_https_issuer_are_bound_to_the_host(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    page = await browser.http.get(client.url(Pkce.new()))
    (form,) = cookies(page)
    assert form.key.startswith("__Secure-mcp_form_")
    assert (form["path"], form["secure"]) == (f"/s/{form.key[-22:]}", True)
    login = await browser.submit(page, CREDENTIALS)
    (session,) = session_cookies(login)
    assert re.fullmatch(r"__Host-mcp_session_[A-Za-z0-9_-]{22}", session.key)
    assert (session["path"], session["domain"], session["max-age"]) == ("/", "", "")
    assert (session["secure"], session["httponly"], session["samesite"].lower()) == (True, True, "lax")
    page = await browser.http.get(login.headers["location"])
    # Its own origin is the issuer, not the address that it is reached at.
    wrong = {"Origin": f"http://127.0.0.1:{server.port}"}
    shown(await browser.submit(page, button=("decision", "approve"), headers=wrong), 403)
    assert answered(await browser.consent(page), client, 303)["iss"] == HTTPS
    assert "decision" in form_of((await browser.http.get(client.url(Pkce.new()))).text).buttons  # still signed in
    page = await browser.http.get("/oauth/logout")
    (cleared,) = cookies(await browser.submit(page))
    assert (cleared.key, cleared["path"], cleared["max-age"], cleared["secure"]) == (session.key, "/", "0", True)


@pytest.mark.requirement("attack-25")
@both_issuers
async def test_cookies_of_the_versions_before_open_nothing(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    page = await consent_page(browser, client.url(Pkce.new()))
    value = browser.session
    stranger = await closing.enter_async_context(server.client())
    host = f"mcp_session_{server.port}", "__Host-mcp_session"
    for name in host:
        for where in ("/account", "/oauth/authorize", str(page.url)):
            reply = await stranger.get(where, headers=OWN_PAGE | {"Cookie": f"{name}={value}"})
            assert "decision" not in reply.text
            assert "Connected applications" not in reply.text
    # Nor does the id of a session that the database has from before.
    store, now, before = server.services.store, server.clock(), "an id of the version before"
    owner = await server.services.users.by_username(OWNER)
    assert owner is not None
    digest = hashlib.sha256(before.encode()).digest()
    assert await store.write(users.start_session, digest, owner.user_id, owner.password_hash, now, now + 3600, None)
    for name in [cookie.name for cookie in browser.http.cookies.jar if "mcp_session" in cookie.name]:
        reply = await stranger.get(str(page.url), headers=OWN_PAGE | {"Cookie": f"{name}={before}"})
        assert asks_to_sign_in(reply)


@pytest.mark.requirement("attack-25")
async def test_session_of_an_authorization_request_serves_that_request_alone(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    page = await consent_page(browser, client.url(pkce))
    # Not its other parameters, nor the account, nor the plain paths.
    base = str(page.url).partition("/oauth/authorize")[0]
    for url in (f"{page.url}&x=y", f"{base}/account", client.url(pkce), "/account"):
        assert asks_to_sign_in(await browser.reload(page, url))
    assert "You are signed out" in (await browser.reload(page, f"{base}/oauth/logout")).text
    assert await count(server, "browser_sessions") == 1
    # Reloading keeps it; two hours end it.
    assert "decision" in form_of((await browser.reload(page)).text).buttons
    server.clock.advance(7200 - 1)
    assert "decision" in form_of((await browser.reload(page)).text).buttons
    server.clock.advance(1)
    assert asks_to_sign_in(await browser.reload(page))


@pytest.mark.requirement("attack-25")
@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_session_of_an_authorization_request_ends_with_its_answer(
    server: Running, browser: Browser, client: OAuthClient, decision: str
) -> None:
    page = await consent_page(browser, client.url(Pkce.new()))
    kept = list(browser.http.cookies.jar)
    reply = await browser.submit(page, button=("decision", decision))
    assert answered(reply, client, 303)
    (cleared,) = cookies(reply)
    assert (cleared["path"], cleared["max-age"]) == (str(page.url.path).partition("/oauth/")[0], "0")
    assert await count(server, "browser_sessions") == 0
    for cookie in kept:
        browser.http.cookies.jar.set_cookie(cookie)
    assert asks_to_sign_in(await browser.reload(page))
    assert asks_to_sign_in(await browser.submit(page, button=("decision", decision)))


@pytest.mark.requirement("attack-25")
@https_issuer
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
        browser = Browser(f"http://localhost:{server.port}", OWNER, PASSWORD)
        closing.push_async_callback(browser.close)
        page = await browser.http.get("/account")
        login = await browser.submit(page, CREDENTIALS, headers={"Origin": url})
        assert login.status_code == 303
    async with make_server(MCP_OAUTH_ISSUER=url) as server:
        page = await browser.reload(page, f"http://localhost:{server.port}{login.headers['location']}")
        assert "Connected applications" in page.text


@pytest.mark.requirement("attack-26")
@both_issuers
async def test_known_browser_is_remembered_over_https_alone(server: Running, browser: Browser) -> None:
    reply = await browser.submit(await browser.http.get("/account"), CREDENTIALS)
    found = [morsel for morsel in cookies(reply) if "mcp_browser" in morsel.key]
    if server.url.startswith("http:"):  # every port of the host would get it
        assert found == []
        return
    (morsel,) = found
    assert morsel.key == "__Host-mcp_browser"
    assert (morsel["path"], morsel["secure"], morsel["httponly"], morsel["domain"]) == ("/", True, True, "")
    assert (morsel["samesite"].lower(), morsel["max-age"]) == ("lax", "31536000")


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
    await client_gets_nothing_yet(server, browser, client, page)
    page = await browser.submit(page, {"new_password": NEW, "new_password_again": NEW})
    assert page.status_code == 303
    reply = await browser.consent(await browser.http.get(page.headers["location"]))
    assert (await client.redeem(answered(reply, client, 303)["code"], pkce)).status_code == 200
    for password, status in ((generated, 400), (NEW, 303)):
        page = await browser.http.get(client.url(pkce, prompt="login"))
        assert (await browser.submit(page, {"username": OWNER, "password": password})).status_code == status


@pytest.mark.requirement("attack-22")
@both_issuers
async def test_form_for_a_first_password_takes_none_from_somebody_who_has_one(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    page = await consent_page(browser, client.url(Pkce.new()))
    csrf = server.services.sessions.csrf(browser.form_key, f"password own {page.url.query.decode()}")
    fields = {"csrf": csrf, "new_password": NEW, "new_password_again": NEW}
    reply = await browser.http.post(str(page.url), data=fields, headers=OWN_PAGE)
    assert (reply.status_code, reply.headers["location"]) == (303, page.url.raw_path.decode())
    page = await browser.http.get(client.url(Pkce.new(), prompt="login"))
    assert (await browser.submit(page, {"username": OWNER, "password": NEW})).status_code == 400


async def client_gets_nothing_yet(
    server: Running, browser: Browser, client: OAuthClient, page: httpx2.Response
) -> None:
    """Whoever still has to choose a password cannot consent, by any way round the form."""
    redirected_error(await browser.http.get(client.url(Pkce.new(), prompt="none")), client, "login_required")
    csrf = server.services.sessions.csrf(browser.form_key, f"consent own {page.url.query.decode()}")
    data = {"csrf": csrf, "decision": "approve", "scope": "mcp:read"}
    reply = await browser.http.post(str(page.url), data=data, headers=OWN_PAGE)
    assert (reply.status_code, reply.headers["location"]) == (303, page.url.raw_path.decode())
    assert "new_password" in form_of((await browser.reload(page)).text).inputs
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
@both_issuers
async def test_changing_the_password_needs_the_form_and_ends_the_other_sessions(
    server: Running, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await add_user(server, must_change_password=True)
    mine, other = browser_of(closing, server), browser_of(closing, server)
    url = client.url(Pkce.new())
    page = await mine.sign_in(await mine.http.get(url))
    theirs = await other.sign_in(await other.http.get(url))
    fields = {"new_password": NEW, "new_password_again": NEW}
    before = await state_of(server)
    for change in ({"csrf": "1.2"}, {"csrf": server.services.sessions.csrf("x", "login " + url.partition("?")[2])}):
        shown(await mine.submit(page, {**fields, **change}), 403)
    shown(await mine.submit(page, fields, headers={"Origin": "https://evil.example"}), 403)
    shown(await other.submit(page, fields), 403)
    assert await state_of(server) == before
    assert (await mine.submit(page, fields)).status_code == 303
    assert "decision" in form_of(shown(await mine.reload(page))).buttons
    assert asks_for_password(await other.reload(theirs))
    (row,) = [row for row in (await state_of(server))["users"] if "alice" in row]
    (stored,) = [value for value in row if isinstance(value, str) and value.startswith("$argon2id$")]
    assert PasswordHasher().verify(stored, NEW)
