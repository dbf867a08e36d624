"""What a person consented to once, what they are shown, and when they are asked again."""

from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

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
from tests.support.oauth import CALLBACK, OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running

WEB = "https://app.example/cb"
OTHER_WEB = "https://app.example/other"
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Referer": "https://evil.example/"}


def asks(reply: httpx2.Response) -> list[str]:
    """The scopes that a consent page asks for."""
    form = form_of(shown(reply))
    assert form.buttons["decision"] == ["deny", "approve"]
    return form.offered["scope"]


async def confidential(closing: AsyncExitStack, server: Running, **metadata: Any) -> OAuthClient:
    metadata = {"redirect_uris": [WEB, OTHER_WEB], "token_endpoint_auth_method": "client_secret_basic", **metadata}
    return await registered(closing, server, **metadata)


@pytest.mark.requirement("attack-24")
@pytest.mark.parametrize("redirect_uri", [CALLBACK, WEB])
async def test_public_client_is_asked_about_every_time(
    server: Running, browser: Browser, closing: AsyncExitStack, redirect_uri: str
) -> None:
    client = await registered(closing, server, redirect_uris=[redirect_uri])
    await client.code(browser, Pkce.new())
    for headers in ({}, CROSS_SITE):
        before = await state_of(server)
        reply = await browser.http.get(client.url(Pkce.new()), headers=headers)
        assert asks(reply) == ["mcp:read", "mcp:write"]
        reply = await browser.http.get(client.url(Pkce.new(), prompt="none"), headers=headers)
        redirected_error(reply, client, "consent_required")
        assert await state_of(server) == before


@pytest.mark.requirement("attack-24")
async def test_consent_to_a_confidential_client_is_remembered_for_exactly_what_was_consented_to(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await confidential(closing, server)
    await client.code(browser, Pkce.new())
    codes = await count(server, "codes")
    for params in ({}, {"prompt": "none"}, {"scope": "mcp:write"}, {"scope": "mcp:read", "nonce": "n"}):
        reply = await browser.http.get(client.url(Pkce.new(), **params))
        assert answered(reply, client).keys() == {"code", "state", "iss"}
        codes += 1
    assert await count(server, "codes") == codes
    changes: list[dict[str, Any]] = [
        {"redirect_uri": OTHER_WEB},
        {"scope": "mcp:read mcp:write mcp:admin"},
        {"scope": "mcp:read openid"},
        {"resource": f"{server.url}/mcp"},
        {"resource": [server.url, f"{server.url}/mcp"]},
    ]
    for change in changes:
        asks(await browser.http.get(client.url(Pkce.new(), **change)))
        reply = await browser.http.get(client.url(Pkce.new(), prompt="none", **change))
        assert "error=consent_required" in reply.headers["location"]
    assert asks(await browser.http.get(client.url(Pkce.new(), prompt="consent"))) == ["mcp:read", "mcp:write"]
    assert await count(server, "codes") == codes


@pytest.mark.requirement("attack-24")
async def test_consent_is_remembered_for_one_person_and_one_client(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client, other = await confidential(closing, server), await confidential(closing, server)
    await client.code(browser, Pkce.new())
    asks(await browser.http.get(other.url(Pkce.new())))
    await add_user(server)
    asks(await consent_page(browser_of(closing, server), client.url(Pkce.new())))


@pytest.mark.requirement("attack-24", "AS-39")
async def test_consent_to_less_is_no_consent_to_all(server: Running, browser: Browser, closing: AsyncExitStack) -> None:
    client = await confidential(closing, server)
    await client.code(browser, Pkce.new(), consent=["mcp:read"])
    assert asks(await browser.http.get(client.url(Pkce.new()))) == ["mcp:read", "mcp:write"]
    answered(await browser.http.get(client.url(Pkce.new(), scope="mcp:read")), client)


@pytest.mark.requirement("attack-24")
async def test_denial_is_not_remembered_as_consent(server: Running, browser: Browser, closing: AsyncExitStack) -> None:
    client = await confidential(closing, server)
    page = await consent_page(browser, client.url(Pkce.new()))
    redirected_error(await browser.submit(page, button=("decision", "deny")), client, "access_denied", status=303)
    asks(await browser.http.get(client.url(Pkce.new())))
    assert await count(server, "consents") == 0


@pytest.mark.requirement("attack-24")
async def test_remembered_consent_of_a_confidential_loopback_client_ignores_the_port(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await confidential(closing, server, redirect_uris=[CALLBACK, "http://localhost:3000/other"])
    await client.code(browser, Pkce.new())
    url = client.url(Pkce.new(), redirect_uri="http://localhost:50000/callback")
    assert (await browser.http.get(url)).headers["location"].startswith("http://localhost:50000/callback?code=")
    asks(await browser.http.get(client.url(Pkce.new(), redirect_uri="http://localhost:50000/other")))


@pytest.mark.requirement("attack-24")
async def test_remembered_consent_is_no_login(server: Running, browser: Browser, closing: AsyncExitStack) -> None:
    client = await confidential(closing, server)
    await client.code(browser, Pkce.new())
    stranger = browser_of(closing, server)
    assert 'type="password"' in shown(await stranger.http.get(client.url(Pkce.new())))
    server.clock.advance(12 * 3600)
    assert 'type="password"' in shown(await browser.http.get(client.url(Pkce.new())))


@pytest.mark.requirement("attack-30", "AS-16", "AS-17", "AS-34")
@pytest.mark.parametrize(
    ("redirect_uri", "host", "loopback"),
    [
        (WEB, "app.example", False),
        ("https://app.example.evil.example:8443/cb?host=good.example", "app.example.evil.example", False),
        ("https://xn--pple-43d.example/cb", "xn--pple-43d.example", False),
        (CALLBACK, "localhost", True),
        ("http://127.0.0.1:3000/app.example", "127.0.0.1", True),
        ("http://[::1]/cb", "::1", True),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp", True),
    ],
)
async def test_consent_shows_the_host_that_the_answer_goes_to(
    server: Running, browser: Browser, closing: AsyncExitStack, redirect_uri: str, host: str, loopback: bool
) -> None:
    client = await registered(closing, server, redirect_uris=[redirect_uri])
    html = shown(await consent_page(browser, client.url(Pkce.new())))
    assert f"you return to <span><strong><bdi>{host}</bdi></strong>" in html
    assert ("(an application on this computer)" in html) is loopback
    assert ("Any program on this computer could be using this name." in html) is loopback


@pytest.mark.requirement("attack-30")
async def test_consent_shows_who_asks_for_which_scopes_of_which_resource(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await registered(closing, server, client_name="Editor", client_uri="https://editor.example/about")
    url = client.url(Pkce.new(), scope="mcp:read mcp:admin openid", resource=f"{server.url}/mcp")
    page = await consent_page(browser, url)
    assert asks(page) == ["mcp:read", "mcp:admin", "openid"]
    for said in (
        '<bdi class="name">Editor</bdi>',
        "Nobody has verified it.",
        "<bdi>editor.example</bdi>",
        f"<bdi>{client.client_id}</bdi>",
        f"<bdi>{server.url}/mcp</bdi>",
        f"<bdi>{OWNER}</bdi>",
        "Administer <code>mcp:admin</code>",
        "Know who you are <code>openid</code>",
    ):
        assert said in page.text, said
    assert page.text.count("Sensitive") == 1
    pages = await browser.http.get(client.url(Pkce.new(), resource=[server.url, f"{server.url}/mcp"]))
    assert f"<bdi>{server.url}, {server.url}/mcp</bdi>" in pages.text


@pytest.mark.requirement("attack-30")
async def test_client_of_the_operator_counts_as_verified(make_server: MakeServer, closing: AsyncExitStack) -> None:
    server = await closing.enter_async_context(make_server(MCP_OAUTH_CLIENT_NAME="The operator's own"))
    client = OAuthClient(server)
    closing.push_async_callback(client.close)
    html = shown(await consent_page(browser_of(closing, server, OWNER, PASSWORD), client.url(Pkce.new())))
    assert "The operator&#39;s own" in html
    assert "verified" not in html
