"""The browser is sent only where a registered client asked for, whatever else is wrong with the request."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2
import pytest

from tests.support.authorize import answered, redirected_error, refused, registered, state_of
from tests.support.browser import Browser
from tests.support.databases import Template
from tests.support.oauth import CALLBACK, OAuthClient, Pkce
from tests.support.server import Running, running

WEB = "https://app.example/cb"
LOOPBACK = "http://127.0.0.1:8765/cb"


@pytest.fixture(scope="module")
async def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One server for the module: no request in it is granted, so nothing is ever changed."""
    async with running(template, tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(scope="module")
async def web(server: Running) -> AsyncIterator[OAuthClient]:
    """A client on the web with one redirect URI."""
    found = await OAuthClient.register(server, redirect_uris=[WEB])
    yield found
    await found.close()


@pytest.fixture(scope="module")
async def native(server: Running) -> AsyncIterator[OAuthClient]:
    """A client on the user's computer, with one redirect URI for each loopback name."""
    uris = [LOOPBACK, "http://[::1]/cb", "http://localhost/cb?tenant=1"]
    found = await OAuthClient.register(server, redirect_uris=uris)
    yield found
    await found.close()


async def asked(client: OAuthClient, **params: str | list[str] | None) -> httpx2.Response:
    return await client.http.get(client.url(Pkce.new(), **params))


async def refused_unchanged(client: OAuthClient, **params: str | list[str] | None) -> str:
    before = await state_of(client.server)
    page = refused(await asked(client, **params))
    assert await state_of(client.server) == before
    return page


@pytest.mark.requirement("attack-1", "regression-2", "AS-37")
@pytest.mark.parametrize(
    "client_id", ["nobody", "", None, "mcp-docker-server-default ", "MCP-DOCKER-SERVER-DEFAULT", "%"]
)
async def test_unknown_client_is_a_page_and_never_a_redirect(client: OAuthClient, client_id: str | None) -> None:
    await refused_unchanged(client, client_id=client_id)
    # Nor does a further mistake, or an error that would be the client's, lead there.
    await refused_unchanged(client, client_id=client_id, response_type="token", prompt="none")


@pytest.mark.requirement("attack-2", "regression-2", "AS-31", "AS-32", "AS-37")
@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/cb",
        f"{WEB}/",
        f"{WEB}/more",
        f"{WEB}/../cb",
        f"{WEB}?",
        f"{WEB}?next=https://evil.example",
        f"{WEB}#",
        f"{WEB}#fragment",
        f"{WEB};a",
        f" {WEB}",
        f"{WEB} ",
        f"{WEB}\n",
        f"{WEB}\r\nX-Injected: 1",
        "https://app.example/c%62",
        "https://app.example/CB",
        "https://app.example//cb",
        "https://app.example/./cb",
        "https://app.example/%2e/cb",
        "https://app.example\\cb",
        "https:\\\\app.example\\cb",
        "https:/app.example/cb",
        "https:app.example/cb",
        "//app.example/cb",
        "/cb",
        "HTTPS://app.example/cb",
        "https://APP.example/cb",
        "https://app.example./cb",
        "https://app.example:443/cb",
        "https://app.example:444/cb",
        "https://user@app.example/cb",
        "https://app.example@evil.example/cb",
        "https://app.example.evil.example/cb",
        "https://evil.example\\@app.example/cb",
        "https://evil.example#@app.example/cb",
        "https://sub.app.example/cb",
        "https://\u0430pp.example/cb",
        "https://app%2eexample/cb",
        "http://app.example/cb",
        "javascript:alert(1)",
        "data:text/html,x",
    ],
    ids=ascii,
)
async def test_redirect_uri_that_is_not_registered_is_a_page_and_never_a_redirect(
    web: OAuthClient, redirect_uri: str
) -> None:
    await refused_unchanged(web, redirect_uri=redirect_uri)
    await refused_unchanged(web, redirect_uri=redirect_uri, prompt="none", scope='"')


@pytest.mark.requirement("attack-2", "AS-31", "AS-32")
async def test_redirect_uri_of_another_client_is_not_ones_own(web: OAuthClient, native: OAuthClient) -> None:
    await refused_unchanged(web, redirect_uri=LOOPBACK)
    await refused_unchanged(native, redirect_uri=WEB)


@pytest.mark.requirement("attack-3", "AS-30", "AS-31")
@pytest.mark.parametrize(
    "redirect_uri",
    [
        LOOPBACK,
        "http://127.0.0.1/cb",
        "http://127.0.0.1:1/cb",
        "http://127.0.0.1:65535/cb",
        "http://[::1]:50000/cb",
        "http://localhost:50000/cb?tenant=1",
    ],
)
async def test_port_of_a_loopback_redirect_uri_is_free(native: OAuthClient, redirect_uri: str) -> None:
    reply = await asked(native, redirect_uri=redirect_uri, prompt="none")
    assert reply.status_code == 302
    separator = "&" if "?" in redirect_uri else "?"
    assert reply.headers["location"].startswith(f"{redirect_uri}{separator}error=login_required&")


@pytest.mark.requirement("attack-3", "AS-30", "AS-31", "AS-32")
@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://localhost:8765/cb",
        "http://localhost.evil.com:8765/cb",
        "http://127.0.0.1.nip.io:8765/cb",
        "http://127.0.0.1@evil.example/cb",
        "http://127.0.0.1:8765@evil.example/cb",
        "http://127.0.0.1:@evil.example/cb",
        "http://127.0.0.1:8765\\@evil.example/cb",
        "http://127.0.0.1:8765.evil.example/cb",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:-1/cb",
        "http://127.0.0.1:+80/cb",
        "http://127.0.0.1:8o/cb",
        "http://127.0.0.1:\u0661/cb",
        "http://127.0.0.1:80:80/cb",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:8765/cb/",
        "http://127.0.0.1:8765/cb?x=1",
        "http://127.0.0.1:8765//cb",
        "http://127.0.0.1:8765",
        "http://127.0.0.2:8765/cb",
        "http://127.1:8765/cb",
        "http://2130706433:8765/cb",
        "http://0x7f.0.0.1:8765/cb",
        "http://127.0.0.1\n:8765/cb",
        "http://0.0.0.0:8765/cb",
        "http://[::]:8765/cb",
        "http://[0:0:0:0:0:0:0:1]:8765/cb",
        "http://[::ffff:127.0.0.1]:8765/cb",
        "http://[::1%25lo]:8765/cb",
        "http://::1/cb",
        "https://127.0.0.1:8765/cb",
        "HTTP://127.0.0.1:8765/cb",
        "http://LOCALHOST/cb?tenant=1",
        "http://localhost./cb?tenant=1",
        "http://localhost:3000/cb",
        "http://localhost:3000/cb?tenant=2",
    ],
    ids=ascii,
)
async def test_nothing_of_a_loopback_redirect_uri_but_its_port_is_free(native: OAuthClient, redirect_uri: str) -> None:
    await refused_unchanged(native, redirect_uri=redirect_uri)


@pytest.mark.requirement("attack-3", "AS-31")
async def test_port_of_a_web_redirect_uri_is_not_free(web: OAuthClient) -> None:
    await refused_unchanged(web, redirect_uri="https://app.example:8443/cb")


@pytest.mark.requirement("attack-4", "AS-30", "AS-32")
@pytest.mark.parametrize(
    "scheme", ["javascript", "JaVaScRiPt", "data", "file", "vbscript", "blob", "about", "ftp", "ws"]
)
@pytest.mark.parametrize("rest", [":alert(1)", "://app.example/cb", ":https://app.example/cb", ":///etc/passwd"])
async def test_scheme_that_acts_in_a_browser_is_not_registered(server: Running, scheme: str, rest: str) -> None:
    before = await state_of(server)
    async with server.client() as http:
        for uris in ([scheme + rest], [WEB, scheme + rest]):
            for kind in ({}, {"application_type": "native"}, {"application_type": "web"}):
                reply = await http.post("/oauth/register", json={"redirect_uris": uris, **kind})
                assert (reply.status_code, reply.json()["error"]) == (400, "invalid_redirect_uri")
        for name in ("client_uri", "logo_uri", "tos_uri", "policy_uri"):
            reply = await http.post("/oauth/register", json={"redirect_uris": [WEB], name: scheme + rest})
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_client_metadata")
    assert await state_of(server) == before


@pytest.mark.requirement("AS-30", "regression-2")
@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/cb",
        "http://localhost.evil.example/cb",
        "http://192.168.0.5/cb",
        "http://user@localhost/cb",
        "com.evil.app:/cb",
        "cursor://anysphere.cursor-mcp/oauth/other",
        "https://*.app.example/cb",
        "https://user@app.example/cb",
        "https://app.example/a/../cb",
        "https://app.example/cb#fragment",
        "https:///cb",
        "cb",
        "",
    ],
)
async def test_redirect_uri_is_https_or_loopback_or_an_allowed_private_use_uri(server: Running, uri: str) -> None:
    before = await state_of(server)
    async with server.client() as http:
        reply = await http.post("/oauth/register", json={"redirect_uris": [WEB, uri]})
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_redirect_uri")
    assert await state_of(server) == before


@pytest.mark.requirement("attack-5", "AS-37")
async def test_redirect_uri_may_be_omitted_only_when_one_is_registered(web: OAuthClient, native: OAuthClient) -> None:
    await refused_unchanged(native, redirect_uri=None)
    await refused_unchanged(native, redirect_uri="")
    # Before a sign-in the error is a page, which names the host that it would go to.
    assert "<bdi>app.example</bdi>" in refused(await asked(web, redirect_uri=None, prompt="none"), "login_required")
    one = await OAuthClient.register(web.server, redirect_uris=[LOOPBACK])
    redirected_error(await asked(one, redirect_uri=None, prompt="none"), one, "login_required")
    await one.close()


@pytest.mark.requirement("attack-6", "regression-2", "AS-37")
@pytest.mark.parametrize(
    "name",
    [
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "response_type",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "prompt",
        "max_age",
        "request_uri",
        "unheard_of",
    ],
)
@pytest.mark.parametrize("twice", ["equal", "different"])
async def test_repeated_parameter_is_a_page_and_never_a_redirect(client: OAuthClient, name: str, twice: str) -> None:
    pkce = Pkce.new()
    usual = httpx2.URL(client.url(pkce)).params.get(name) or "1"
    other = {"equal": usual, "different": "other"}[twice]
    for values in ([usual, other], [other, usual]):
        before = await state_of(client.server)
        page = refused(await client.http.get(client.url(pkce, **{name: values})))
        assert name in page
        assert await state_of(client.server) == before


@pytest.mark.requirement("attack-6", "AS-32")
async def test_second_redirect_uri_is_never_the_one_used(client: OAuthClient) -> None:
    for uris in ([CALLBACK, "https://evil.example/cb"], ["https://evil.example/cb", CALLBACK]):
        await refused_unchanged(client, redirect_uri=uris, prompt="none")


@pytest.mark.requirement("regression-2", "AS-33", "AS-34")
async def test_registered_client_gets_no_code_without_login_and_consent(
    server: Running, browser: Browser, web: OAuthClient
) -> None:
    before = await state_of(server)
    page = await browser.http.get(web.url(Pkce.new()))
    assert page.status_code == 200
    assert 'type="password"' in page.text
    assert await state_of(server) == before
    page = await browser.sign_in(page)
    assert page.status_code == 200
    assert 'value="approve"' in page.text
    assert "app.example" in page.text
    after = await state_of(server)
    assert (after["codes"], after["consents"]) == (before["codes"], before["consents"]) == ([], [])


@pytest.mark.requirement("AS-32", "regression-2")
async def test_answer_keeps_the_query_of_the_redirect_uri(server: Running, closing: AsyncExitStack) -> None:
    client = await registered(closing, server, redirect_uris=[f"{CALLBACK}?tenant=a%26b"])
    reply = await asked(client, prompt="none")
    client.redirect_uri = CALLBACK
    assert answered(reply, client)["tenant"] == "a&b"
