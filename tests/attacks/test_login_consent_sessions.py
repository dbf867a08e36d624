"""Signing in: no session can be prepared for somebody else, and no answer tells which users exist."""

import unicodedata
from contextlib import AsyncExitStack
from http.cookies import SimpleCookie

import httpx2
import pytest
from argon2 import PasswordHasher

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
from tests.support.browser import Browser, form_of
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running


def name_of(server: Running) -> str:
    return f"mcp_session_{server.port}"


async def attempt(browser: Browser, client: OAuthClient, username: str, password: str) -> httpx2.Response:
    page = await browser.http.get(client.url(Pkce.new(), prompt="login"))
    return await browser.submit(page, {"username": username, "password": password})


@pytest.mark.requirement("attack-25")
async def test_session_id_changes_at_each_login(server: Running, browser: Browser, client: OAuthClient) -> None:
    page = await browser.http.get(client.url(Pkce.new()))
    ids = [browser.session_id]
    assert (await state_of(server))["browser_sessions"] == []
    await browser.sign_in(page)
    ids.append(browser.session_id)
    await browser.sign_in(await browser.http.get(client.url(Pkce.new(), prompt="login")))
    ids.append(browser.session_id)
    assert len(set(ids)) == 3
    assert all(len(value) >= 43 for value in ids)
    rows = (await state_of(server))["browser_sessions"]
    assert len(rows) == 1
    assert not [value for value in ids if value in repr(rows)]


@pytest.mark.requirement("attack-25")
async def test_session_id_fixed_before_the_login_is_worth_nothing_after_it(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    planted = "chosen-by-the-attacker"
    browser.http.cookies.set(name_of(server), planted, path="/oauth/authorize")
    page = await browser.http.get(client.url(Pkce.new()))
    reply = await browser.submit(page, {"username": OWNER, "password": PASSWORD})
    assert reply.status_code == 303
    given = {morsel.value for line in reply.headers.get_list("set-cookie") for morsel in SimpleCookie(line).values()}
    assert planted not in given
    attacker = browser_of(closing, server)
    attacker.http.cookies.set(name_of(server), planted)
    assert 'type="password"' in shown(await attacker.http.get(client.url(Pkce.new())))


@pytest.mark.requirement("attack-25")
async def test_live_session_of_the_attacker_ends_when_the_victim_signs_in_over_it(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await add_user(server)
    attacker = browser_of(closing, server)
    await consent_page(attacker, client.url(Pkce.new()))
    browser.http.cookies.set(name_of(server), attacker.session_id, path="/oauth/authorize")
    page = await browser.http.get(client.url(Pkce.new(), prompt="login"))
    assert (await browser.submit(page, {"username": OWNER, "password": PASSWORD})).status_code == 303
    assert 'type="password"' in shown(await attacker.http.get(client.url(Pkce.new())))


@pytest.mark.requirement("attack-25")
@pytest.mark.parametrize("value", ["x", "", "x" * 129, "x" * 4000, "\u00e9", "%00", '"quoted"', "a=b"], ids=ascii)
async def test_session_id_that_was_never_given_is_nobody(server: Running, client: OAuthClient, value: str) -> None:
    cookie = f"{name_of(server)}={value}".encode()
    reply = await client.http.get(client.url(Pkce.new()), headers=[(b"Cookie", cookie)])
    assert 'type="password"' in shown(reply)


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
    before = await state_of(server)
    refused(await attempt(browser, client, OWNER, "x" * 1_000_000), status=413)
    assert verified == []
    for password in ("x" * 1025, "x" * 60_000, "\u20ac" * 342, "\ufdfa" * 100):
        shown(await attempt(browser, client, OWNER, password), 400)
    # What is hashed instead is empty, and never matches.
    assert set(verified) == {""}
    shown(await attempt(browser, client, OWNER, ""), 400)
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
