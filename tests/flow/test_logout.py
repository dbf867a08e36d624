"""Signing out: only the person ends the session, and the browser returns only where a client registered it."""

from contextlib import AsyncExitStack
from http.cookies import SimpleCookie

import httpx2
import pytest

from tests.support.authorize import add_user, browser_of, consent_page, count, refused, registered, shown, state_of
from tests.support.browser import Browser, form_of
from tests.support.issuers import https_issuer
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import Running

BYE = "https://app.example/bye"
# An http issuer has a session at the account page alone: see test_account.py.
pytestmark = https_issuer


@pytest.fixture
async def app(server: Running, closing: AsyncExitStack) -> OAuthClient:
    """A client that registered where to return to after a logout."""
    uris = {"redirect_uris": ["https://app.example/cb"], "post_logout_redirect_uris": [BYE, f"{BYE}?a=1"]}
    return await registered(closing, server, client_name="The app", **uris)


async def signed_in(browser: Browser, client: OAuthClient) -> None:
    await consent_page(browser, client.url(Pkce.new()))


async def still_signed_in(browser: Browser, client: OAuthClient) -> bool:
    page = await browser.http.get(client.url(Pkce.new()))
    return "decision" in form_of(page.text).buttons


def sent_back(reply: httpx2.Response, location: str, status: int) -> None:
    assert (reply.status_code, reply.headers["location"]) == (status, location)
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.requirement("AS-01")
async def test_sign_out_asks_and_then_ends_the_session(server: Running, browser: Browser, client: OAuthClient) -> None:
    await signed_in(browser, client)
    (session,) = [cookie.name for cookie in browser.http.cookies.jar if "mcp_session" in cookie.name]
    page = await browser.http.get("/oauth/logout")
    assert "You are signed in as <strong><bdi>admin</bdi></strong>" in shown(page)
    assert await still_signed_in(browser, client)
    reply = await browser.submit(page)
    assert "You are signed out" in shown(reply)
    cleared = [morsel for line in reply.headers.get_list("set-cookie") for morsel in SimpleCookie(line).values()]
    assert [(morsel.key, morsel["path"], morsel["max-age"]) for morsel in cleared] == [(session, "/", "0")]
    assert await count(server, "browser_sessions") == 0
    assert not await still_signed_in(browser, client)


@pytest.mark.requirement("attack-25")
async def test_session_id_is_worthless_after_the_logout(server: Running, browser: Browser, client: OAuthClient) -> None:
    await signed_in(browser, client)
    kept = list(browser.http.cookies.jar)
    await browser.submit(await browser.http.get("/oauth/logout"))
    for cookie in kept:
        browser.http.cookies.jar.set_cookie(cookie)
    assert not await still_signed_in(browser, client)
    assert "You are signed out" in shown(await browser.http.get("/oauth/logout"))


@pytest.mark.requirement("AS-01")
async def test_logout_without_a_session_says_so(server: Running, client: OAuthClient) -> None:
    before = await state_of(server)
    assert "You are signed out" in shown(await client.http.get("/oauth/logout"))
    assert await state_of(server) == before


@pytest.mark.requirement("AS-01", "AS-33")
async def test_browser_returns_where_the_client_registered_it(browser: Browser, app: OAuthClient) -> None:
    hint = {"id_token_hint": (await app.tokens(browser, scope="openid"))["id_token"]}
    params = {"client_id": app.client_id, "post_logout_redirect_uri": BYE, "state": "a&b"}
    page = await browser.http.get("/oauth/logout", params=params)
    assert '<bdi class="name">The app</bdi> asks to end this session' in shown(page)
    assert await still_signed_in(browser, app)
    sent_back(await browser.submit(page), f"{BYE}?state=a%26b", 303)
    assert not await still_signed_in(browser, app)
    sent_back(await browser.http.get("/oauth/logout", params=params | hint), f"{BYE}?state=a%26b", 302)
    params = {"client_id": app.client_id, "post_logout_redirect_uri": f"{BYE}?a=1", **hint}
    sent_back(await browser.http.get("/oauth/logout", params=params), f"{BYE}?a=1", 302)
    sent_back(await browser.http.get("/oauth/logout", params={**params, "state": "s"}), f"{BYE}?a=1&state=s", 302)


@pytest.mark.requirement("AS-32", "AS-33")
@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/",
        "https://app.example/cb",
        f"{BYE}/",
        f"{BYE}?a=2",
        f"{BYE}#x",
        "https://app.example.evil.example/bye",
        "https://app.example@evil.example/bye",
        "HTTPS://app.example/bye",
        "//app.example/bye",
        "javascript:alert(1)",
    ],
)
async def test_browser_returns_nowhere_else(browser: Browser, app: OAuthClient, uri: str) -> None:
    params = {"client_id": app.client_id, "post_logout_redirect_uri": uri}
    refused(await browser.http.get("/oauth/logout", params=params))
    await signed_in(browser, app)
    refused(await browser.http.get("/oauth/logout", params=params))
    page = await browser.http.get("/oauth/logout")
    token = form_of(page.text).fields["csrf"]
    refused(await browser.http.post("/oauth/logout", params=params, data={"csrf": token}))
    assert await still_signed_in(browser, app)


@pytest.mark.requirement("AS-32", "AS-33")
async def test_return_address_needs_the_client_it_belongs_to(
    server: Running, browser: Browser, client: OAuthClient, app: OAuthClient
) -> None:
    for others in ({}, {"client_id": client.client_id}, {"client_id": "nobody"}, {"id_token_hint": "garbage"}):
        refused(await browser.http.get("/oauth/logout", params={"post_logout_redirect_uri": BYE, **others}))
    twice = f"client_id={app.client_id}&post_logout_redirect_uri={BYE}"
    refused(await browser.http.get(f"/oauth/logout?{twice}&post_logout_redirect_uri=https://evil.example"))
    refused(await browser.http.get(f"/oauth/logout?{twice}&client_id={client.client_id}"))


@pytest.mark.requirement("AS-01")
async def test_id_token_names_the_client_even_when_it_has_expired(
    server: Running, browser: Browser, client: OAuthClient, app: OAuthClient
) -> None:
    tokens = await app.tokens(browser, scope="openid")
    server.clock.advance(7 * 24 * 3600)
    params = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": BYE}
    sent_back(await browser.http.get("/oauth/logout", params=params), BYE, 302)
    sent_back(await browser.http.get("/oauth/logout", params={**params, "client_id": app.client_id}), BYE, 302)
    refused(await browser.http.get("/oauth/logout", params={**params, "client_id": client.client_id}))
    header, _, signature = tokens["id_token"].split(".")
    foreign = (await client.tokens(browser, scope="openid"))["id_token"]
    for token in (tokens["access_token"], f"{header}.{foreign.split('.')[1]}.{signature}", foreign, "..", "\u00e9"):
        refused(await browser.http.get("/oauth/logout", params={**params, "id_token_hint": token}))


@pytest.mark.requirement("attack-22")
async def test_no_other_site_can_sign_a_person_out(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await signed_in(browser, client)
    await add_user(server)
    attacker = browser_of(closing, server)
    await signed_in(attacker, client)
    before = await state_of(server)
    page, theirs = [await who.http.get("/oauth/logout") for who in (browser, attacker)]
    forms = [
        {"csrf": ""},
        {"csrf": "1.2"},
        {"csrf": form_of(theirs.text).fields["csrf"]},
        {"csrf": form_of((await browser.http.get(client.url(Pkce.new(), prompt="login"))).text).fields["csrf"]},
        {"csrf": form_of((await browser.http.get("/oauth/logout?state=x")).text).fields["csrf"]},
    ]
    for form in forms:
        refused(await browser.submit(page, form), "access_denied", 403)
    for origin in ("https://evil.example", "null"):
        refused(await browser.submit(page, headers={"Origin": origin}), "access_denied", 403)
    refused(await browser.submit(page, headers={"Sec-Fetch-Site": "cross-site"}), "access_denied", 403)
    # A request for a logout that comes by POST is asked about as well.
    reply = await browser.http.post("/oauth/logout", data={"state": "x"})
    sent_back(reply, "/oauth/logout?state=x", 303)
    assert "Sign out?" in shown(await browser.http.get(reply.headers["location"]))
    assert await state_of(server) == before
    server.clock.advance(3601)
    refused(await browser.submit(page), "access_denied", 403)
    assert await state_of(server) == before


@pytest.mark.requirement("AS-01")
async def test_tokens_outlive_the_browser_session(browser: Browser, client: OAuthClient) -> None:
    tokens = await client.tokens(browser)
    await browser.submit(await browser.http.get("/oauth/logout"))
    assert (await client.refresh(tokens["refresh_token"])).status_code == 200
