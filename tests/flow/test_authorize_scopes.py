"""Which scopes are offered to the person, and what is granted of them."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from oauth_server.store.verbs import users
from tests.conftest import MakeServer
from tests.support.authorize import (
    add_user,
    answered,
    browser_of,
    consent_page,
    count,
    redirected_error,
    registered,
    shown,
    state_of,
)
from tests.support.browser import Browser, form_of
from tests.support.issuers import https_issuer
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running

EVERYTHING = "mcp:read mcp:write mcp:admin openid profile email offline_access"
APPROVE = ("decision", "approve")


async def offered(browser: Browser, client: OAuthClient, **params: Any) -> list[str]:
    page = await consent_page(browser, client.url(Pkce.new(), **params))
    return form_of(page.text).offered["scope"]


@pytest.mark.requirement("attack-16")
async def test_unknown_scopes_are_dropped_and_known_ones_offered_once_in_order(
    browser: Browser, client: OAuthClient
) -> None:
    assert await offered(browser, client, scope="mcp:write nothing mcp:read mcp:write  x") == ["mcp:write", "mcp:read"]
    assert (await client.tokens(browser, scope="nothing mcp:read"))["scope"] == "mcp:read"


@pytest.mark.requirement("attack-16")
@pytest.mark.parametrize("scope", [None, ""])
async def test_omitted_scope_is_mcp_read(browser: Browser, client: OAuthClient, scope: str | None) -> None:
    assert await offered(browser, client, scope=scope) == ["mcp:read"]
    assert (await client.tokens(browser, scope=scope))["scope"] == "mcp:read"


@pytest.mark.requirement("attack-16")
async def test_registered_scope_is_a_default_and_no_ceiling(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await registered(closing, server, scope="mcp:write openid nothing")
    assert await offered(browser, client, scope=None) == ["mcp:write", "openid"]
    assert await offered(browser, client, scope="mcp:read mcp:admin") == ["mcp:read", "mcp:admin"]


@pytest.mark.requirement("attack-16")
async def test_scope_that_is_not_configured_is_not_offered(make_server: MakeServer, closing: AsyncExitStack) -> None:
    server = await closing.enter_async_context(make_server(MCP_OAUTH_SCOPE="mcp:read docs:edit"))
    client, browser = OAuthClient(server), browser_of(closing, server, OWNER, PASSWORD)
    closing.push_async_callback(client.close)
    reply = await browser.http.get(client.url(Pkce.new(), scope="mcp:write mcp:admin"))
    redirected_error(reply, client, "invalid_scope")
    assert await offered(browser, client, scope=EVERYTHING) == [
        "mcp:read",
        "openid",
        "profile",
        "email",
        "offline_access",
    ]


@pytest.mark.requirement("AS-28")
async def test_offline_access_alone_means_the_defaults_beside_it(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    for scope in ("offline_access", " offline_access"):
        assert await offered(browser, client, scope=scope) == ["mcp:read", "offline_access"]
    app = await registered(closing, server, scope="mcp:write openid")
    assert await offered(browser, app, scope="offline_access") == ["mcp:write", "openid", "offline_access"]
    assert await offered(browser, app, scope="openid offline_access") == ["openid", "offline_access"]


@pytest.mark.requirement("AS-39")
@pytest.mark.parametrize("chosen", [["mcp:read"], ["mcp:write"], ["openid"], ["mcp:admin", "mcp:read"]])
async def test_person_may_grant_fewer_scopes_than_requested(
    browser: Browser, client: OAuthClient, chosen: list[str]
) -> None:
    tokens = await client.tokens(browser, scope=EVERYTHING, consent=chosen)
    assert sorted(tokens["scope"].split()) == sorted(chosen)
    assert ("id_token" in tokens) is ("openid" in chosen)
    again = (await client.refresh(tokens["refresh_token"])).json()
    assert sorted(again["scope"].split()) == sorted(chosen)


@pytest.mark.requirement("AS-39")
async def test_granting_nothing_is_asked_again(server: Running, browser: Browser, client: OAuthClient) -> None:
    page = await consent_page(browser, client.url(Pkce.new()))
    before = await state_of(server)
    page = await browser.submit(page, checkboxes={}, button=APPROVE)
    assert "Choose at least one permission" in shown(page, 400)
    assert form_of(page.text).inputs["scope"] == "checkbox"
    assert "scope" not in form_of(page.text).checkboxes  # what the person cleared stays cleared
    assert await state_of(server) == before
    assert "code" in answered(await browser.consent(page, ["mcp:read"]), client, 303)


@pytest.mark.requirement("AS-39", "attack-22")
@pytest.mark.parametrize("forged", ["mcp:admin", "mcp:write", "nothing", "", "mcp:read mcp:admin"])
async def test_scope_that_was_not_offered_cannot_be_granted(
    server: Running, client: OAuthClient, closing: AsyncExitStack, forged: str
) -> None:
    await add_user(server)
    alice = browser_of(closing, server)
    pkce = Pkce.new()
    page = await consent_page(alice, client.url(pkce, scope="mcp:read mcp:admin"))
    reply = await alice.submit(page, checkboxes={"scope": [forged]}, button=APPROVE)
    shown(reply, 400)
    assert await count(server, "codes") == 0
    reply = await alice.submit(page, checkboxes={"scope": ["mcp:read", forged]}, button=APPROVE)
    code = answered(reply, client, 303)["code"]
    assert (await client.redeem(code, pkce)).json()["scope"] == "mcp:read"


@pytest.mark.requirement("attack-16", "AS-39")
@https_issuer
async def test_what_is_above_the_ceiling_is_never_offered(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    await add_user(server)
    alice = browser_of(closing, server)
    page = await consent_page(alice, client.url(Pkce.new(), scope=EVERYTHING))
    assert form_of(page.text).offered["scope"] == [s for s in EVERYTHING.split() if s != "mcp:admin"]
    assert "mcp:admin" not in shown(page).partition("<fieldset")[2]
    reply = await alice.http.get(client.url(Pkce.new(), scope="mcp:admin"))
    redirected_error(reply, client, "invalid_scope")
    assert "mcp:admin" in await offered(browser, client, scope=EVERYTHING)


@pytest.mark.requirement("attack-16", "AS-39")
@https_issuer
async def test_ceiling_that_is_lowered_meanwhile_holds(
    server: Running, client: OAuthClient, closing: AsyncExitStack
) -> None:
    alice = await add_user(server)
    browser = browser_of(closing, server)
    client = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    page = await consent_page(browser, client.url(pkce, prompt="consent"))
    await server.services.store.write(users.set_scope, alice.user_id, ("mcp:read",), server.clock, 0)
    # A consent form that is open already, a code that was issued already, and a consent that is remembered.
    later = answered(await browser.consent(page), client, 303)["code"]
    for issued in (code, later):
        assert (await client.redeem(issued, pkce)).json()["scope"] == "mcp:read"
    reply = await browser.http.get(client.url(pkce))
    assert (await client.redeem(answered(reply, client)["code"], pkce)).json()["scope"] == "mcp:read"
    await server.services.store.write(users.set_scope, alice.user_id, (), server.clock, 0)
    redirected_error(await browser.http.get(client.url(pkce)), client, "invalid_scope")
