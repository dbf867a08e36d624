"""Sensitive scopes: never ticked for a person, and granted only soon after a sign-in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2
import pytest

from oauth_server.core.scopes import SENSITIVE_AFTER_SIGN_IN
from tests.conftest import MakeServer
from tests.support.authorize import consent_page, redirected_error, shown, state_of
from tests.support.browser import Browser, form_of, query_of
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.proxy import TlsProxy
from tests.support.server import Running

ISSUER = "https://mcp.example.com"
WEB = "https://app.example/cb"
ASKED = "mcp:read mcp:admin"


@pytest.fixture
async def server(make_server: MakeServer) -> AsyncIterator[Running]:
    """A server with an https issuer, whose sessions outlive one request, and a client with a secret."""
    env = {"MCP_OAUTH_ISSUER": ISSUER, "MCP_OAUTH_CLIENT_REDIRECT_URIS": f"{WEB} {CALLBACK}"}
    async with make_server(**env, MCP_OAUTH_CLIENT_SECRET="a secret of the tests that is long enough") as found:
        yield found


@pytest.fixture
async def browser(server: Running, closing: AsyncExitStack) -> Browser:
    found = Browser(ISSUER)
    await found.close()
    found.http = TlsProxy(server.port).client(ISSUER)
    closing.push_async_callback(found.close)
    return found


@pytest.fixture
async def app(server: Running, closing: AsyncExitStack) -> OAuthClient:
    found = OAuthClient(server, DEFAULT_CLIENT, WEB)
    closing.push_async_callback(found.close)
    return found


async def scope_of(server: Running, location: str, pkce: Pkce) -> str:
    """The scope of the token that the code in a redirect brings."""
    form = {"grant_type": "authorization_code", "code": query_of(location)["code"], "redirect_uri": WEB}
    form |= {"code_verifier": pkce.verifier, "client_id": DEFAULT_CLIENT}
    form |= {"client_secret": "a secret of the tests that is long enough"}
    async with TlsProxy(server.port).client(ISSUER) as http:
        reply = await http.post("/oauth/token", data=form)
    assert reply.status_code == 200, reply.text
    scope: str = reply.json()["scope"]
    return scope


def asks_for_password(page: httpx2.Response) -> bool:
    return form_of(shown(page)).inputs.get("password") == "password"


@pytest.mark.requirement("attack-16", "AS-39")
async def test_box_of_a_sensitive_scope_starts_unticked_and_is_granted_where_the_person_ticks_it(
    server: Running, browser: Browser, app: OAuthClient
) -> None:
    pkce = Pkce.new()
    page = await consent_page(browser, app.url(pkce, scope=f"{ASKED} openid"))
    form = form_of(page.text)
    assert form.offered["scope"] == ["mcp:read", "mcp:admin", "openid"]
    assert form.checkboxes["scope"] == ["mcp:read", "openid"]
    as_it_is = await browser.submit(page, button=("decision", "approve"))
    assert await scope_of(server, as_it_is.headers["location"], pkce) == "mcp:read openid"
    page = await browser.http.get(app.url(pkce, scope="mcp:admin", prompt="consent"))
    assert form_of(page.text).checkboxes == {}
    assert "Choose at least one permission" in shown(await browser.submit(page, button=("decision", "approve")), 400)
    ticked = await browser.consent(page, ["mcp:admin"])
    assert await scope_of(server, ticked.headers["location"], pkce) == "mcp:admin"


@pytest.mark.requirement("attack-16", "attack-18", "AS-39")
async def test_sensitive_scope_needs_a_sign_in_of_the_last_five_minutes(
    server: Running, browser: Browser, app: OAuthClient
) -> None:
    pkce = Pkce.new()
    page = await consent_page(browser, app.url(pkce, scope=ASKED))
    server.clock.advance(SENSITIVE_AFTER_SIGN_IN + 1)
    # What is not sensitive is granted, and what is leads to a sign-in and to the question once more.
    reply = await browser.consent(page, ["mcp:read"])
    assert await scope_of(server, reply.headers["location"], pkce) == "mcp:read"
    before = await state_of(server)
    again = await browser.consent(page, ["mcp:read", "mcp:admin"])
    assert asks_for_password(again)
    assert "within five minutes" in again.text
    assert await state_of(server) == before
    page = await browser.sign_in(again)
    assert form_of(shown(page)).checkboxes["scope"] == ["mcp:read"]
    server.clock.advance(SENSITIVE_AFTER_SIGN_IN)
    reply = await browser.consent(page, ["mcp:read", "mcp:admin"])
    assert await scope_of(server, reply.headers["location"], pkce) == ASKED


@pytest.mark.requirement("attack-16", "attack-18")
async def test_remembered_consent_grants_no_sensitive_scope_after_an_old_sign_in(
    server: Running, browser: Browser, app: OAuthClient
) -> None:
    pkce = Pkce.new()
    page = await consent_page(browser, app.url(pkce, scope=ASKED))
    await browser.consent(page)
    own = {"Sec-Fetch-Site": "none"}
    reply = await browser.http.get(app.url(pkce, scope=ASKED), headers=own)
    assert await scope_of(server, reply.headers["location"], pkce) == ASKED
    server.clock.advance(SENSITIVE_AFTER_SIGN_IN + 1)
    before = await state_of(server)
    page = await browser.http.get(app.url(pkce, scope=ASKED), headers=own)
    assert asks_for_password(page)
    silent = await browser.http.get(app.url(pkce, scope=ASKED, prompt="none"), headers=own)
    redirected_error(silent, app, "login_required")
    assert await state_of(server) == before
    # Less is granted as before, and all of it after a new sign-in.
    reply = await browser.http.get(app.url(pkce, scope="mcp:read"), headers=own)
    assert await scope_of(server, reply.headers["location"], pkce) == "mcp:read"
    reply = await browser.sign_in(page)
    assert await scope_of(server, reply.headers["location"], pkce) == ASKED


@pytest.mark.requirement("AS-16", "AS-17")
async def test_consent_page_cuts_off_the_page_that_opened_it(browser: Browser, app: OAuthClient) -> None:
    page = await consent_page(browser, app.url(Pkce.new()))
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    wrong = await browser.submit(page, checkboxes={}, button=("decision", "approve"))
    assert (wrong.status_code, wrong.headers["cross-origin-opener-policy"]) == (400, "same-origin")


@pytest.mark.requirement("AS-16", "AS-17", "AS-18")
@pytest.mark.parametrize(
    ("uri", "shown_host", "warned"),
    [
        ("http://localhost/cb", "localhost", True),
        ("http://[::1]:9/cb", "::1", True),
        ("https://localhost/cb", "localhost", True),
        ("https://127.0.0.1:8443/cb", "127.0.0.1", True),
        ("https://127.1.2.3/cb", "127.1.2.3", True),
        ("https://[::1]/cb", "::1", True),
        ("https://app.localhost/cb", "app.localhost", True),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp", True),
        ("https://localhost.example/cb", "localhost.example", False),
        (WEB, "app.example", False),
    ],
)
async def test_person_is_warned_wherever_another_program_could_pass_for_the_application(
    server: Running, browser: Browser, uri: str, shown_host: str, warned: bool
) -> None:
    made = await browser.http.post("/oauth/register", json={"client_name": "Editor", "redirect_uris": [uri]})
    assert made.status_code == 201, made.text
    client = OAuthClient(server, made.json()["client_id"], uri)
    await client.close()
    page = shown(await consent_page(browser, client.url(Pkce.new())))
    assert f"<bdi>{shown_host}</bdi>" in page
    assert ("Any program on this computer could be using this name" in page) is warned
    assert ("(an application on this computer)" in page) is warned
