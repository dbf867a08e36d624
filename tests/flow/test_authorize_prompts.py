"""The parameters by which a client says how a person is asked: prompt, max_age, login_hint, nonce; and by POST."""

import json
from base64 import urlsafe_b64decode
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from tests.support.authorize import answered, consent_page, redirected_error, registered, shown, state_of
from tests.support.browser import Browser, form_of, query_of
from tests.support.issuers import both_issuers, https_issuer
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, Running

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def claims_of(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def asks_for_password(page: httpx2.Response) -> bool:
    return form_of(shown(page)).inputs.get("password") == "password"


async def consented(closing: AsyncExitStack, server: Running, browser: Browser) -> OAuthClient:
    """A confidential client that the owner consented to, in a browser that is signed in."""
    client = await registered(closing, server, token_endpoint_auth_method="client_secret_post")
    await client.code(browser, Pkce.new(), scope="openid mcp:read mcp:write")
    return client


@pytest.mark.requirement("AS-01")
@both_issuers
@pytest.mark.parametrize("prompt", ["login", "select_account", "login consent", "login select_account"])
async def test_prompt_asks_for_a_new_login_once(
    server: Running, browser: Browser, closing: AsyncExitStack, prompt: str
) -> None:
    client = await consented(closing, server, browser)
    server.clock.advance(1000)
    pkce = Pkce.new()
    page = await browser.http.get(client.url(pkce, prompt=prompt, scope="openid"))
    assert asks_for_password(page)
    reply = await browser.submit(page, {"username": OWNER, "password": browser.password})
    assert reply.status_code == 303
    reply = await browser.http.get(reply.headers["location"])
    if "consent" in prompt:
        assert "decision" in form_of(shown(reply)).buttons
        reply = await browser.consent(reply)
    code = answered(reply, client, 303 if "consent" in prompt else 302)["code"]
    tokens = (await client.redeem(code, pkce)).json()
    assert claims_of(tokens["id_token"])["auth_time"] == server.clock()


@pytest.mark.requirement("AS-01")
@https_issuer
@pytest.mark.parametrize(("prompt", "max_age"), [("login", None), ("select_account", None), (None, "0"), (None, "10")])
async def test_consent_form_is_no_way_round_a_new_login(
    server: Running, browser: Browser, client: OAuthClient, prompt: str | None, max_age: str | None
) -> None:
    url = client.url(Pkce.new(), prompt=prompt, max_age=max_age)
    await consent_page(browser, client.url(Pkce.new()))
    server.clock.advance(11)
    csrf = server.services.sessions.csrf(browser.form_key, f"consent own {url.partition('?')[2]}")
    before = await state_of(server)
    data = {"csrf": csrf, "decision": "approve", "scope": "mcp:read"}
    reply = await browser.http.post(url, data=data)
    assert reply.status_code == 303
    assert reply.headers["location"].endswith(url.removeprefix(server.url))
    assert asks_for_password(await browser.http.get(reply.headers["location"]))
    assert await state_of(server) == before


@pytest.mark.requirement("AS-01")
@https_issuer
async def test_prompt_consent_asks_though_a_consent_is_remembered(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await consented(closing, server, browser)
    answered(await browser.http.get(client.url(Pkce.new())), client)
    page = await browser.http.get(client.url(Pkce.new(), prompt="consent"))
    assert "code" in answered(await browser.consent(page), client, 303)


@pytest.mark.requirement("attack-18")
@https_issuer
async def test_prompt_none_answers_at_once_where_nothing_has_to_be_asked(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await consented(closing, server, browser)
    reply = await browser.http.get(client.url(Pkce.new(), prompt="none"))
    assert answered(reply, client).keys() == {"code", "state", "iss"}
    server.clock.advance(60)
    reply = await browser.http.get(client.url(Pkce.new(), prompt="none", max_age="59"))
    redirected_error(reply, client, "login_required")
    server.clock.advance(12 * 3600)
    redirected_error(await browser.http.get(client.url(Pkce.new(), prompt="none")), client, "login_required")


@pytest.mark.requirement("AS-01")
@https_issuer
@pytest.mark.parametrize(
    ("max_age", "elapsed", "again"), [(100, 100, False), (100, 101, True), (0, 0, False), (0, 1, True)]
)
async def test_max_age_asks_for_a_new_login_when_the_last_one_is_older(
    server: Running, browser: Browser, client: OAuthClient, max_age: int, elapsed: int, again: bool
) -> None:
    await consent_page(browser, client.url(Pkce.new()))
    server.clock.advance(elapsed)
    page = await browser.http.get(client.url(Pkce.new(), max_age=str(max_age)))
    assert asks_for_password(page) is again


@pytest.mark.requirement("AS-01")
@both_issuers
@pytest.mark.parametrize("max_age", ["0", "1"])
async def test_max_age_is_met_by_one_login_however_slow_the_person_is(
    server: Running, browser: Browser, client: OAuthClient, max_age: str
) -> None:
    pkce = Pkce.new()
    page = await browser.http.get(client.url(pkce, max_age=max_age, scope="openid"))
    server.clock.advance(60)
    page = await browser.sign_in(page)
    signed_in_at = server.clock()
    server.clock.advance(60)
    code = answered(await browser.consent(page), client, 303)["code"]
    tokens = (await client.redeem(code, pkce)).json()
    assert claims_of(tokens["id_token"])["auth_time"] == signed_in_at


@pytest.mark.requirement("AS-01")
async def test_login_hint_is_filled_in_and_may_be_replaced(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    page = await browser.http.get(client.url(Pkce.new(), login_hint="alice@example.com"))
    assert form_of(shown(page)).fields["username"] == "alice@example.com"
    page = await browser.submit(page, {"username": "bob", "password": "wrong"})
    assert form_of(shown(page, 400)).fields["username"] == "bob"
    page = await browser.sign_in(page)
    assert "decision" in form_of(shown(page)).buttons


@pytest.mark.requirement("AS-01")
@pytest.mark.parametrize("nonce", ["n-0S6_WzA2Mj", "n" * 1024, "\u00e9 +&%\U0001f600", None])
async def test_nonce_comes_back_in_the_id_token(browser: Browser, client: OAuthClient, nonce: str | None) -> None:
    tokens = await client.tokens(browser, scope="openid mcp:read", nonce=nonce)
    assert claims_of(tokens["id_token"]).get("nonce") == nonce
    again = await client.tokens(browser, scope="openid mcp:read")
    assert "nonce" not in claims_of(again["id_token"])


@pytest.mark.requirement("AS-01")
async def test_request_by_post_goes_on_as_a_get(server: Running, browser: Browser, client: OAuthClient) -> None:
    url = httpx2.URL(client.url(Pkce.new(), state="a&b=c \u00e9", resource=[server.url, f"{server.url}/mcp"]))
    reply = await browser.http.post("/oauth/authorize", content=url.query, headers=FORM)
    assert reply.status_code == 303
    where = httpx2.URL(reply.headers["location"])
    assert where.path == "/oauth/authorize"
    assert not where.host
    assert where.params.multi_items() == url.params.multi_items()
    page = await browser.sign_in(await browser.http.get(reply.headers["location"]))
    answer = answered(await browser.consent(page), client, 303)
    assert (answer["state"], answer["iss"]) == ("a&b=c \u00e9", server.url)


@pytest.mark.requirement("AS-01", "AS-32")
async def test_request_by_post_is_checked_as_one_by_get(browser: Browser, client: OAuthClient) -> None:
    for change, status in (({"redirect_uri": "https://evil.example"}, 400), ({"response_type": "token"}, 302)):
        content = httpx2.URL(client.url(Pkce.new(), **change)).query
        reply = await browser.http.post("/oauth/authorize", content=content, headers=FORM)
        assert reply.status_code == 303
        assert reply.headers["location"].startswith("/oauth/authorize?")
        reply = await browser.http.get(reply.headers["location"])
        assert reply.status_code == status
        assert "evil.example" not in reply.headers.get("location", "")


@pytest.mark.requirement("AS-01")
@both_issuers
async def test_every_parameter_survives_the_login(server: Running, browser: Browser, client: OAuthClient) -> None:
    url = client.url(
        Pkce.new(),
        prompt="login consent",
        max_age="5",
        state="",
        nonce="\u00e9&=",
        resource=[server.url, f"{server.url}/mcp"],
        ui_locales="de",
    )
    page = await browser.http.get(url)
    reply = await browser.submit(page, {"username": OWNER, "password": browser.password})
    sent = [pair for pair in httpx2.URL(url).params.multi_items() if pair[0] not in ("prompt", "max_age")]
    kept = httpx2.URL(reply.headers["location"]).params.multi_items()
    assert [pair for pair in kept if pair[0] != "prompt"] == sent
    assert dict(kept)["prompt"] == "consent"
    answer = query_of((await browser.consent(await browser.http.get(reply.headers["location"]))).headers["location"])
    assert answer.keys() == {"code", "iss"}
