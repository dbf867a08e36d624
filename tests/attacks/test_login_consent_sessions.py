"""Signing in: no session can be prepared for somebody else, and no answer tells which users exist."""

import unicodedata
from contextlib import AsyncExitStack
from http.cookies import SimpleCookie

import httpx2
import pytest
from argon2 import PasswordHasher

from oauth_server.core import hashers
from oauth_server.store.verbs import users
from tests.support.authorize import (
    ALICE_PASSWORD,
    add_user,
    answered,
    browser_of,
    consent_page,
    refused,
    shown,
    state_of,
)
from tests.support.browser import Browser, asks_to_sign_in, form_of, query_of
from tests.support.issuers import both_issuers, https_issuer
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running


async def attempt(browser: Browser, client: OAuthClient, username: str, password: str) -> httpx2.Response:
    page = await browser.http.get(client.url(Pkce.new(), prompt="login"))
    return await browser.submit(page, {"username": username, "password": password})


@pytest.mark.requirement("attack-25")
@both_issuers
async def test_session_id_changes_at_each_login(server: Running, browser: Browser, client: OAuthClient) -> None:
    page = await browser.http.get(client.url(Pkce.new()))
    (form,) = browser.http.cookies.jar
    ids = [form.value]
    assert (await state_of(server))["browser_sessions"] == []
    await browser.sign_in(page)
    ids.append(browser.session)
    if server.url.startswith("http:"):
        browser.http.cookies.clear()
    await browser.sign_in(await browser.http.get(client.url(Pkce.new(), prompt="login")))
    ids.append(browser.session)
    assert len({str(value).partition(".")[0] for value in ids}) == 3
    assert all(len(str(value)) >= 43 for value in ids)
    rows = (await state_of(server))["browser_sessions"]
    # An https issuer has one session for a browser, an http issuer one for each request.
    assert len(rows) == (1 if server.url.startswith("https:") else 2)
    assert not [value for value in ids if str(value) in repr(rows)]


@pytest.mark.requirement("attack-25")
@both_issuers
async def test_cookie_fixed_before_the_login_is_worth_nothing_after_it(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    attacker = browser_of(closing, server)
    url = client.url(Pkce.new())
    await attacker.http.get(url)
    (theirs,) = attacker.http.cookies.jar
    for name in (theirs.name, theirs.name.replace("__Secure-", "__Host-").replace("form", "session")):
        browser.http.cookies.set(name, str(theirs.value), domain=theirs.domain.removesuffix(".local"))
    page = await browser.http.get(url)
    reply = await browser.submit(page, {"username": OWNER, "password": PASSWORD})
    assert reply.status_code == 303
    given = {morsel.value for line in reply.headers.get_list("set-cookie") for morsel in SimpleCookie(line).values()}
    assert not {theirs.value, theirs.name[-22:]} & given
    for where in (url, reply.headers["location"], str(page.url)):
        assert asks_to_sign_in(await attacker.reload(page, where))


@pytest.mark.requirement("attack-25")
@https_issuer
async def test_live_session_of_the_attacker_ends_when_the_victim_signs_in_over_it(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await add_user(server)
    attacker = browser_of(closing, server)
    theirs = await consent_page(attacker, client.url(Pkce.new()))
    for cookie in attacker.http.cookies.jar:
        browser.http.cookies.jar.set_cookie(cookie)
    page = await browser.http.get(client.url(Pkce.new(), prompt="login"))
    await browser.sign_in(page)
    assert asks_to_sign_in(await attacker.reload(theirs))
    # Nor do their forms go through in the victim's session.
    refused(await browser.submit(theirs, button=("decision", "approve")), "access_denied", 403)


@pytest.mark.requirement("attack-25")
@both_issuers
@pytest.mark.parametrize("value", ["x", "", ".", "x" * 129, "x" * 4000, "\u00e9", "%00", '"quoted"', "a=b"], ids=ascii)
async def test_session_id_that_was_never_given_is_nobody(server: Running, client: OAuthClient, value: str) -> None:
    key = "x" * 22
    for place in ("", f"/s/{key}"):
        url = client.url(Pkce.new()).replace(server.url, server.url + place)
        names = (f"mcp_session_{server.port}_{key}", f"__Host-mcp_session_{key}")
        cookie = "; ".join(f"{name}={value}" for name in names).encode()
        reply = await client.http.get(url, headers=[(b"Cookie", cookie), (b"Sec-Fetch-Site", b"same-origin")])
        assert asks_to_sign_in(reply)


# The Cookie header


@pytest.mark.requirement("attack-25")
@both_issuers
@pytest.mark.parametrize("kind", ["session", "form"])
async def test_cookie_that_occurs_twice_is_not_accepted(
    server: Running, browser: Browser, client: OAuthClient, kind: str
) -> None:
    page = await browser.http.get(client.url(Pkce.new()))
    if kind == "session":
        page = await browser.sign_in(page)
    held = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.http.cookies.jar if kind in cookie.name)
    name = held.partition("=")[0]
    for line in (f"{held}; {held}", f"{held}; {name}=planted", f"{name}=planted; {held}", f"{name}=; {held}"):
        for planted in ([line], line.split("; ")):
            headers = [("Cookie", one) for one in planted]
            sent = [*headers, ("Sec-Fetch-Site", "same-origin"), ("Origin", server.url)]
            async with server.client() as http:
                form = form_of(page.text)
                data = {**form.fields, "username": OWNER, "password": PASSWORD}
                if kind == "session":
                    assert asks_to_sign_in(await http.get(str(page.url), headers=sent))
                    data = {**form.fields, "decision": "approve", "scope": "mcp:read"}
                said = refused(await http.post(form.action, data=data, headers=sent), "access_denied", 403)
                assert "did not send back the cookie" in said


@pytest.mark.requirement("attack-25")
@both_issuers
@pytest.mark.parametrize("around", [" {}", "\t{}", "\t {} \t"])
async def test_blanks_around_a_cookie_s_name_are_trimmed(server: Running, browser: Browser, around: str) -> None:
    page = await browser.sign_in(await browser.http.get("/account"))
    (cookie,) = [cookie for cookie in browser.http.cookies.jar if "mcp_session" in cookie.name]
    line = f"a=b;{around.format(cookie.name)}={cookie.value}"
    async with server.client() as http:
        reply = await http.get(str(page.url), headers={"Cookie": line, "Sec-Fetch-Site": "same-origin"})
    assert "Connected applications" in reply.text


@pytest.mark.requirement("attack-25")
@both_issuers
@pytest.mark.parametrize("odd", [b"\xa0", b"\x85", b"\xc2\xa0", b"\xe2\x80\x8b"], ids=repr)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_cookie_whose_name_only_looks_like_ours_is_another_cookie(
    server: Running, browser: Browser, odd: bytes, side: str
) -> None:
    # Plain http may set a name that begins with such a character, and not one that begins with __Host- (RFC 6265bis).
    page = await browser.sign_in(await browser.http.get("/account"))
    (cookie,) = [cookie for cookie in browser.http.cookies.jar if "mcp_session" in cookie.name]
    name, value = cookie.name.encode(), str(cookie.value).encode()
    strange = odd + name if side == "before" else name + odd
    own = (b"Sec-Fetch-Site", b"same-origin")
    async with server.client() as http:
        reply = await http.get(str(page.url), headers=[(b"Cookie", strange + b"=" + value), own])
        assert "Connected applications" not in reply.text
        both = b"%s=planted; %s=%s" % (strange, name, value)
        reply = await http.get(str(page.url), headers=[(b"Cookie", both), own])
        assert "Connected applications" in reply.text


@pytest.mark.requirement("attack-25")
@both_issuers
async def test_planted_cookies_lock_nobody_out(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    # Another server plants all names that it knows, again and again; it does not know those of the next sign-in.
    planted: set[str] = {
        "__Host-mcp_session",
        f"mcp_session_{server.port}",
        "__Host-mcp_session_",
        "__Host-mcp_browser",
    }
    planted |= {f"__Host-mcp_session_{number}" for number in range(3)}

    async def plant(request: httpx2.Request) -> None:
        lines = [request.headers["Cookie"]] if "Cookie" in request.headers else []
        request.headers["Cookie"] = "; ".join([*lines, *(f"{name}=planted" for name in sorted(planted))])

    hooks = browser.http.event_hooks
    browser.http.event_hooks = {"request": [*hooks["request"], plant], "response": hooks["response"]}
    for _ in range(3):
        page = await browser.sign_in(await browser.http.get("/account"))
        assert "Connected applications" in page.text
        assert "code" in query_of(
            (await browser.consent(await consent_page(browser, client.url(Pkce.new())))).headers["location"]
        )
        planted |= {cookie.name for cookie in browser.http.cookies.jar}
        assert asks_to_sign_in(await browser.reload(page))
        browser.http.cookies.clear()


@pytest.mark.requirement("attack-27")
async def test_every_login_takes_one_argon2_verification(
    server: Running, browser: Browser, client: OAuthClient, verified: list[str]
) -> None:
    disabled = await add_user(server, "disabled", disabled=True)
    assert disabled.disabled
    wrong = [
        (OWNER, "a wrong password of the owner"),
        ("nobody", "a wrong password of nobody"),
        ("disabled", ALICE_PASSWORD),
        ("", "no user name"),
        ("x" * 200, "a name that is too long"),
        ("na\u200bme", "a name that cannot be"),
    ]
    answers = set()
    for username, password in wrong:
        verified.clear()
        html = shown(await attempt(browser, client, username, password), 400)
        assert verified == [password]
        alert = html[html.index('role="alert"') :]
        answers.add(alert[: alert.index("</p>")])
    assert len(answers) == 1
    verified.clear()
    assert (await attempt(browser, client, OWNER, PASSWORD)).status_code == 303
    assert verified == [PASSWORD]


@pytest.mark.requirement("attack-27")
async def test_failed_login_leaves_no_session(server: Running, browser: Browser, client: OAuthClient) -> None:
    before = await state_of(server)
    for username, password in ((OWNER, "wrong password"), ("nobody", PASSWORD), (OWNER, ""), (OWNER, PASSWORD + " ")):
        reply = await attempt(browser, client, username, password)
        shown(reply, 400)
        assert "set-cookie" not in reply.headers
        assert password not in reply.text or not password
    assert await state_of(server) == before


@pytest.mark.requirement("attack-28")
async def test_password_of_a_megabyte_is_refused_before_it_is_hashed(
    server: Running, browser: Browser, client: OAuthClient, verified: list[str]
) -> None:
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(hashers._INVALID)
    await add_user(server, "alice", password_hash=hashed)
    before = await state_of(server)
    refused(await attempt(browser, client, OWNER, "x" * 1_000_000), status=413)
    assert verified == []
    for password in ("x" * 1025, "x" * 60_000, "\u20ac" * 342, "\ufdfa" * 100):
        shown(await attempt(browser, client, OWNER, password), 400)
    shown(await attempt(browser, client, OWNER, ""), 400)
    # One text is hashed in the place of each, and it matches not even where it is the password of the person.
    assert verified == [hashers._INVALID] * 5
    for password in ("x" * 1025, ""):
        shown(await attempt(browser, client, "alice", password), 400)
    assert verified == [hashers._INVALID] * 7
    assert await state_of(server) == before


@pytest.mark.requirement("attack-28")
async def test_nul_in_a_form_is_refused(server: Running, browser: Browser, client: OAuthClient) -> None:
    before = await state_of(server)
    refused(await attempt(browser, client, OWNER, f"{PASSWORD}\x00"))
    refused(await attempt(browser, client, f"{OWNER}\x00", PASSWORD))
    assert await state_of(server) == before


@pytest.mark.requirement("attack-28")
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
async def test_password_and_user_name_are_the_same_in_every_unicode_form(
    server: Running, client: OAuthClient, closing: AsyncExitStack, form: str
) -> None:
    password = "p\u00e4ssw\u00f6rd with \u00c5ngstr\u00f6m"
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(unicodedata.normalize("NFKC", password))
    await add_user(server, "j\u00fcrgen", password_hash=hashed)
    browser = browser_of(closing, server)
    name = unicodedata.normalize(form, "J\u00dcRGEN")
    assert (await attempt(browser, client, name, unicodedata.normalize(form, password))).status_code == 303
    shown(await attempt(browser, client, name, password.upper()), 400)


@pytest.mark.requirement("attack-27")
async def test_disabled_user_loses_the_session_and_cannot_sign_in(
    server: Running, client: OAuthClient, closing: AsyncExitStack
) -> None:
    alice = await add_user(server)
    browser = browser_of(closing, server)
    page = await consent_page(browser, client.url(Pkce.new()))
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    now = server.clock()
    await server.services.store.write(users.set_disabled, alice.user_id, True, now, now + 3600)
    before = await state_of(server)
    reply = await browser.submit(page, button=("decision", "approve"))
    assert "code" not in reply.headers.get("location", "")
    assert form_of(shown(reply, 400)).inputs["password"] == "password"
    shown(await attempt(browser, client, "alice", ALICE_PASSWORD), 400)
    assert (await client.redeem(code, pkce)).json()["error"] == "invalid_grant"
    assert await state_of(server) == before
    await server.services.store.write(users.set_disabled, alice.user_id, False, now, now)
    assert "code" in answered(await browser.consent(await consent_page(browser, client.url(Pkce.new()))), client, 303)
