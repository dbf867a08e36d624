"""What a person consented to once, what they are shown, and when they are asked again."""

from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import Connection, update

from oauth_server.store.schema import clients
from oauth_server.store.verbs import administration
from tests.conftest import MakeServer
from tests.support.authorize import (
    add_user,
    answered,
    browser_of,
    consent_page,
    count,
    redirected_error,
    refused,
    registered,
    shown,
)
from tests.support.browser import ABSENT, Browser, asks_to_sign_in, form_of
from tests.support.issuers import both_issuers, https_issuer
from tests.support.oauth import CALLBACK, OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running

WEB = "https://app.example/cb"
OTHER_WEB = "https://app.example/other"
NEW = "a new password of mine"


async def opened(browser: Browser, url: str, **headers: str) -> httpx2.Response:
    """What an authorization URL leads to, after signing in where that is asked for."""
    reply = await browser.http.get(url, headers=headers)
    if reply.status_code == 200 and asks_to_sign_in(reply):
        reply = await browser.sign_in(reply)
    return reply


def asks(reply: httpx2.Response) -> list[str]:
    """The scopes that a consent page asks for."""
    form = form_of(shown(reply))
    assert form.buttons["decision"] == ["deny", "approve"]
    return form.offered["scope"]


async def confidential(closing: AsyncExitStack, server: Running, **metadata: Any) -> OAuthClient:
    metadata = {"redirect_uris": [WEB, OTHER_WEB], "token_endpoint_auth_method": "client_secret_basic", **metadata}
    return await registered(closing, server, **metadata)


@pytest.mark.requirement("attack-24")
@both_issuers
@pytest.mark.parametrize("redirect_uri", [CALLBACK, WEB])
async def test_public_client_is_asked_about_every_time(
    server: Running, browser: Browser, closing: AsyncExitStack, redirect_uri: str
) -> None:
    client = await registered(closing, server, redirect_uris=[redirect_uri])
    await client.code(browser, Pkce.new())
    for site in ("none", "same-origin", "cross-site"):
        codes = await count(server, "codes")
        reply = await opened(browser, client.url(Pkce.new()), **{"Sec-Fetch-Site": site})
        assert asks(reply) == ["mcp:read", "mcp:write"]
        assert await count(server, "codes") == codes


@pytest.mark.requirement("attack-24")
@both_issuers
@pytest.mark.parametrize("site", ["cross-site", "same-site", ABSENT, "", "None", "none, none"])
@pytest.mark.parametrize("way", ["at once", "after signing in", "after a wrong password", "by POST", "new password"])
async def test_link_of_another_site_never_uses_a_remembered_consent(
    server: Running, closing: AsyncExitStack, site: str, way: str
) -> None:
    # The attacker's own challenge would come with it, and the code would reach the client that the person trusts.
    alice = await add_user(server)
    browser = browser_of(closing, server)
    client = await confidential(closing, server)
    await client.code(browser, Pkce.new())
    answered(await opened(browser, client.url(Pkce.new()), **{"Sec-Fetch-Site": "none"}), client)
    if way == "new password":
        args = (alice.user_id, alice.password_hash, True, server.clock())
        await server.services.store.write(administration.set_password, *args)
    before = await count(server, "codes")
    again = "login" if way in ("after signing in", "after a wrong password") else None
    url, foreign = client.url(Pkce.new(), prompt=again), {"Sec-Fetch-Site": site}
    if way == "by POST":
        form = dict(httpx2.URL(url).params)
        reply = await browser.http.post("/oauth/authorize", data=form, headers=foreign)
        url = reply.headers["location"]
    reply = await browser.http.get(url, headers=foreign)
    if way == "after a wrong password":
        reply = await browser.submit(reply, {"username": "alice", "password": "a wrong password"})
    if asks_to_sign_in(reply):
        reply = await browser.sign_in(reply)
    if way == "new password":
        reply = await browser.submit(reply, {"new_password": NEW, "new_password_again": NEW})
        reply = await browser.http.get(reply.headers["location"])
    assert asks(reply) == ["mcp:read", "mcp:write"]
    if reply.url.path.startswith("/s/"):  # nor once more
        assert asks(await browser.reload(reply)) == ["mcp:read", "mcp:write"]
    assert await count(server, "codes") == before


@pytest.mark.requirement("attack-24")
@both_issuers
@pytest.mark.parametrize("site", ["none", "same-origin"])
@pytest.mark.parametrize("prompt", [None, "login"])
async def test_what_the_person_began_uses_a_remembered_consent_after_signing_in_too(
    server: Running, browser: Browser, closing: AsyncExitStack, site: str, prompt: str | None
) -> None:
    client = await confidential(closing, server)
    await client.code(browser, Pkce.new())
    reply = await browser.http.get(client.url(Pkce.new(), prompt=prompt), headers={"Sec-Fetch-Site": site})
    if reply.status_code == 200:
        reply = await browser.submit(reply, {"username": OWNER, "password": "wrong"})
        reply = await browser.sign_in(reply)
    assert answered(reply, client).keys() == {"code", "state", "iss"}


@pytest.mark.requirement("attack-24")
@https_issuer
async def test_statement_of_the_path_is_for_one_request_of_one_browser(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await confidential(closing, server)
    await client.code(browser, Pkce.new())
    page = await browser.http.get(client.url(Pkce.new(), prompt="login"))
    reply = await browser.submit(page, {"username": OWNER, "password": PASSWORD})
    place = reply.headers["location"].partition("/oauth/")[0]
    asked = client.url(Pkce.new()).removeprefix(server.url)
    asks(await browser.reload(page, place + asked))
    stranger = browser_of(closing, server, OWNER, PASSWORD)
    await client.code(stranger, Pkce.new())
    asks(await stranger.reload(page, reply.headers["location"]))
    answered(await browser.reload(page, reply.headers["location"]), client)
    server.clock.advance(3601)
    asks(await browser.reload(page, reply.headers["location"]))


@pytest.mark.requirement("attack-24")
@both_issuers
async def test_own_address_is_known_in_spellings_that_earlier_releases_registered(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await confidential(closing, server)
    own = urlsplit(client.url(Pkce.new()))
    ports = [f"0{own.port}"] if own.port is not None else ["", "443", "0443"]
    spellings = [own._replace(netloc=f"{own.hostname}:{port}").geturl() for port in ports]
    mallory = await registered(closing, server, redirect_uris=[WEB])

    def spell(connection: Connection) -> None:
        here = clients.c.client_id == mallory.client_id
        connection.execute(update(clients).where(here).values(redirect_uris=spellings))

    await server.services.store.write(spell)
    for spelling in spellings:
        assert "redirect_uri" in refused(await browser.http.get(mallory.url(Pkce.new(), redirect_uri=spelling)))


@pytest.mark.requirement("attack-24")
@both_issuers
async def test_answer_to_one_client_does_not_begin_the_request_of_another(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    # A redirect of our own form is a request of our own page, so it may not lead to our own address.
    client = await confidential(closing, server)
    await client.code(browser, Pkce.new())
    url = client.url(Pkce.new())
    spellings = [url, url.replace("/oauth/authorize", "/oauth/%61uthorize")]
    if url.startswith("https:"):
        spellings.append(url.replace("mcp.example.com", "mcp.example.com:443"))
    else:
        spellings.append(url.replace("localhost", "127.0.0.1"))
    mallory = await registered(
        closing,
        server,
        redirect_uris=spellings,
        post_logout_redirect_uris=spellings,
        token_endpoint_auth_method="client_secret_post",
    )
    await opened(browser, client.url(Pkce.new(), prompt="consent"))
    before = await count(server, "codes")
    for spelling in spellings:
        for more in ({}, {"prompt": "none"}, {"response_type": "x"}):
            reply = await browser.http.get(mallory.url(Pkce.new(), redirect_uri=spelling, **more))
            assert "redirect_uri" in refused(reply)
        params = {"client_id": mallory.client_id, "post_logout_redirect_uri": spelling}
        refused(await browser.http.get("/oauth/logout", params=params))
    assert await count(server, "codes") == before


@pytest.mark.requirement("attack-24")
@https_issuer
async def test_prompt_none_needs_a_remembered_consent_that_counts(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await confidential(closing, server)
    await client.code(browser, Pkce.new())
    url = client.url(Pkce.new(), prompt="none")
    answered(await browser.http.get(url, headers={"Sec-Fetch-Site": "none"}), client)
    for site in ("cross-site", "same-site", ABSENT):
        reply = await browser.http.get(url, headers={"Sec-Fetch-Site": site})
        redirected_error(reply, client, "consent_required")


@pytest.mark.requirement("attack-24")
@both_issuers
async def test_consent_to_a_confidential_client_is_remembered_for_exactly_what_was_consented_to(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await confidential(closing, server)
    await client.code(browser, Pkce.new())
    codes = await count(server, "codes")
    for params in ({}, {"scope": "mcp:write"}, {"scope": "mcp:read", "nonce": "n"}):
        reply = await opened(browser, client.url(Pkce.new(), **params))
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
        asks(await opened(browser, client.url(Pkce.new(), **change)))
        reply = await browser.http.get(client.url(Pkce.new(), prompt="none", **change))
        if server.url.startswith("https:"):
            assert "error=consent_required" in reply.headers["location"]
        else:  # without a session at this endpoint, no error is sent to an address that nobody vouches for
            refused(reply, "login_required")
    assert asks(await opened(browser, client.url(Pkce.new(), prompt="consent"))) == ["mcp:read", "mcp:write"]
    assert await count(server, "codes") == codes


@pytest.mark.requirement("attack-24")
@both_issuers
async def test_consent_is_remembered_for_one_person_and_one_client(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client, other = await confidential(closing, server), await confidential(closing, server)
    await client.code(browser, Pkce.new())
    asks(await opened(browser, other.url(Pkce.new())))
    await add_user(server)
    asks(await consent_page(browser_of(closing, server), client.url(Pkce.new())))


@pytest.mark.requirement("attack-24", "AS-39")
async def test_consent_to_less_is_no_consent_to_all(server: Running, browser: Browser, closing: AsyncExitStack) -> None:
    client = await confidential(closing, server)
    await client.code(browser, Pkce.new(), consent=["mcp:read"])
    assert asks(await opened(browser, client.url(Pkce.new()))) == ["mcp:read", "mcp:write"]
    answered(await opened(browser, client.url(Pkce.new(), scope="mcp:read")), client)


@pytest.mark.requirement("attack-24")
async def test_denial_is_not_remembered_as_consent(server: Running, browser: Browser, closing: AsyncExitStack) -> None:
    client = await confidential(closing, server)
    page = await consent_page(browser, client.url(Pkce.new()))
    redirected_error(await browser.submit(page, button=("decision", "deny")), client, "access_denied", status=303)
    asks(await opened(browser, client.url(Pkce.new())))
    assert await count(server, "consents") == 0


@pytest.mark.requirement("attack-24")
async def test_remembered_consent_of_a_confidential_loopback_client_ignores_the_port(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await confidential(closing, server, redirect_uris=[CALLBACK, "http://localhost:3000/other"])
    await client.code(browser, Pkce.new())
    url = client.url(Pkce.new(), redirect_uri="http://localhost:50000/callback")
    assert (await opened(browser, url)).headers["location"].startswith("http://localhost:50000/callback?code=")
    asks(await opened(browser, client.url(Pkce.new(), redirect_uri="http://localhost:50000/other")))


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
    pages = await opened(browser, client.url(Pkce.new(), resource=[server.url, f"{server.url}/mcp"]))
    assert f"<bdi>{server.url}, {server.url}/mcp</bdi>" in pages.text


@pytest.mark.requirement("attack-30")
async def test_client_of_the_operator_counts_as_verified(make_server: MakeServer, closing: AsyncExitStack) -> None:
    server = await closing.enter_async_context(make_server(MCP_OAUTH_CLIENT_NAME="The operator's own"))
    client = OAuthClient(server)
    closing.push_async_callback(client.close)
    html = shown(await consent_page(browser_of(closing, server, OWNER, PASSWORD), client.url(Pkce.new())))
    assert "The operator&#39;s own" in html
    assert "verified" not in html
