"""Before anyone has signed in, the browser is sent to nobody's address but a vouched one (RFC 9700 section 4.11.2)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.authorize import redirected_error, refused, shown, state_of
from tests.support.browser import Browser, query_of
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.proxy import TlsProxy
from tests.support.server import Running

ISSUER = "https://mcp.example.com"
WEB = "https://app.example/cb"
CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"
# What anyone can put into a link, and the error it leads to.
LINKS: list[tuple[str, dict[str, str | None]]] = [
    ("unsupported_response_type", {"response_type": "x"}),
    ("invalid_request", {"response_type": None}),
    ("login_required", {"prompt": "none"}),
    ("invalid_request", {"prompt": "sideways"}),
    ("invalid_request", {"code_challenge": None}),
    ("invalid_scope", {"scope": "unheard-of"}),
    ("invalid_target", {"resource": "https://other.example"}),
    ("request_uri_not_supported", {"request_uri": "urn:x"}),
    ("invalid_request", {"state": "s" * 5000}),
    ("invalid_request", {"max_age": "x"}),
]


@pytest.fixture
async def server(make_server: MakeServer) -> AsyncIterator[Running]:
    """A server with an https issuer, which keeps sessions at the authorization endpoint."""
    env = {"MCP_OAUTH_ISSUER": ISSUER, "MCP_OAUTH_CLIENT_REDIRECT_URIS": f"{WEB} {CALLBACK}"}
    async with make_server(**env) as found:
        yield found


@pytest.fixture
async def browser(server: Running, closing: AsyncExitStack) -> Browser:
    found = Browser(ISSUER)
    await found.close()
    found.http = TlsProxy(server.port).client(ISSUER)
    closing.push_async_callback(found.close)
    return found


async def register(browser: Browser, server: Running, *uris: str, token: str | None = None) -> OAuthClient:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = {"client_name": "Evil", "redirect_uris": uris}
    made = await browser.http.post("/oauth/register", json=body, headers=headers)
    assert made.status_code == 201, made.text
    client = OAuthClient(server, made.json()["client_id"], uris[0])
    await client.close()
    return client


@pytest.mark.requirement("attack-7", "AS-32", "AS-34")
@pytest.mark.parametrize(("error", "params"), LINKS, ids=range(len(LINKS)))
async def test_error_is_a_page_that_shows_the_host_until_someone_has_signed_in(
    server: Running, browser: Browser, error: str, params: dict[str, str | None]
) -> None:
    for uri in (WEB, CURSOR, "https://localhost/cb"):
        client = await register(browser, server, uri)
        before = await state_of(server)
        page = refused(await browser.http.get(client.url(Pkce.new(), **params)), error)
        host = {WEB: "app.example", CURSOR: "cursor://anysphere.cursor-mcp"}.get(uri, "localhost")
        assert f"return to <strong><bdi>{host}</bdi></strong>" in page
        assert uri not in page
        posted = await browser.http.post(client.url(Pkce.new(), **params), data={"csrf": "1.2", "decision": "deny"})
        refused(posted, error if error != "login_required" else "access_denied", posted.status_code)
        assert await state_of(server) == before
    # After a sign-in it goes to the client, with state and iss.
    client = await register(browser, server, WEB)
    await browser.sign_in(await browser.http.get(client.url(Pkce.new())))
    state = params.get("state", "state-of-the-test")
    reply = await browser.http.get(client.url(Pkce.new(), **params))
    redirected_error(reply, client, "consent_required" if error == "login_required" else error, state=state)


@pytest.mark.requirement("attack-7", "AS-34")
async def test_clients_of_the_operator_and_programs_on_this_computer_get_their_errors_at_once(
    server: Running, browser: Browser
) -> None:
    configured = OAuthClient(server, DEFAULT_CLIENT, WEB)
    own = await register(browser, server, CALLBACK, WEB)
    added = await server.services.registration.add({"client_name": "Portal", "redirect_uris": [WEB]})
    portal = OAuthClient(server, added["client_id"], WEB)
    for client in (configured, own, portal):
        for error, params in LINKS:
            reply = await browser.http.get(client.url(Pkce.new(), **params))
            redirected_error(reply, client, error, state=params.get("state", "state-of-the-test"))
        await client.close()
    own.redirect_uri = WEB
    refused(await browser.http.get(own.url(Pkce.new(), prompt="none")), "login_required")


@pytest.mark.requirement("attack-7", "AS-33")
@pytest.mark.parametrize("hint", [None, "", "garbage"])
async def test_logout_sends_a_browser_nowhere_for_a_link_alone(browser: Browser, hint: str | None) -> None:
    bye = {"redirect_uris": [WEB], "post_logout_redirect_uris": ["https://app.example/bye"]}
    made = (await browser.http.post("/oauth/register", json={"client_name": "Evil", **bye})).json()
    params = {"client_id": made["client_id"], "post_logout_redirect_uri": "https://app.example/bye", "state": "s"}
    if hint is not None:
        params["id_token_hint"] = hint
    reply = await browser.http.get("/oauth/logout", params=params)
    assert "signed out" in shown(reply)


@pytest.mark.requirement("attack-7", "AS-33")
async def test_logout_returns_after_the_button_or_for_an_id_token_and_to_the_registered_address_alone(
    server: Running, browser: Browser
) -> None:
    bye = ["https://app.example/bye", "http://127.0.0.1:4000/bye", "http://localhost/bye"]
    body = {"client_name": "App", "redirect_uris": [CALLBACK], "post_logout_redirect_uris": bye}
    made = (await browser.http.post("/oauth/register", json=body)).json()
    client, pkce = OAuthClient(server, made["client_id"]), Pkce.new()
    code = query_of(await browser.authorize(client.url(pkce, scope="openid mcp:read")))["code"]
    form = {"grant_type": "authorization_code", "client_id": client.client_id, "code": code}
    form |= {"redirect_uri": CALLBACK, "code_verifier": pkce.verifier}
    token = (await browser.http.post("/oauth/token", data=form)).json()["id_token"]

    async def logout(uri: str, **params: str) -> httpx2.Response:
        return await browser.http.get("/oauth/logout", params={"post_logout_redirect_uri": uri, **params})

    # No other port, though a redirect URI on loopback may have any: what waits there is another program.
    for other in ("http://127.0.0.1:4001/bye", "http://127.0.0.1/bye", "http://localhost:4000/bye", f"{bye[0]}/"):
        for named in ({"client_id": client.client_id}, {"id_token_hint": token}):
            refused(await logout(other, **named))
    page = await logout(bye[1], client_id=client.client_id)
    assert "return to <strong><bdi>127.0.0.1</bdi></strong>" in shown(page)
    reply = await browser.submit(page)
    assert (reply.status_code, reply.headers["location"]) == (303, bye[1])
    for uri in bye:
        reply = await logout(uri, id_token_hint=token)
        assert (reply.status_code, reply.headers["location"]) == (302, uri)
        assert "signed out" in shown(await logout(uri, client_id=client.client_id))
    await client.close()
