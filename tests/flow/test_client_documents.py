"""Clients known by a metadata document: found, consented to, and held to what the document said."""

import asyncio
import json
from contextlib import AsyncExitStack

import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.authorize import (
    add_user,
    answered,
    browser_of,
    consent_page,
    redirected_error,
    refused,
    shown,
    state_of,
)
from tests.support.browser import Browser, form_of
from tests.support.issuers import https_issuer
from tests.support.oauth import OAuthClient, Pkce
from tests.support.publisher import CALLBACK, HOSTED, URL, Page, Publisher, documented
from tests.support.server import OWNER, Running

# Documents are fetched for somebody who signed in: at an https issuer, that is known when a request arrives.
pytestmark = https_issuer


@pytest.fixture
def app(server: Running, publisher: Publisher, closing: AsyncExitStack) -> OAuthClient:
    """A client on this computer, whose document is published."""
    publisher.publish()
    return documented(closing, server)


@pytest.fixture
def hosted(server: Running, publisher: Publisher, closing: AsyncExitStack) -> OAuthClient:
    """The same client where it runs at its host."""
    publisher.publish()
    return documented(closing, server, redirect_uri=HOSTED)


@pytest.mark.requirement("AS-20", "AS-01")
async def test_metadata_advertises_the_documents_and_public_clients_together(server: Running) -> None:
    async with server.client() as http:
        found = (await http.get("/.well-known/oauth-authorization-server")).json()
    assert found["client_id_metadata_document_supported"] is True
    assert "none" in found["token_endpoint_auth_methods_supported"]


@pytest.mark.requirement("AS-07", "AS-08", "AS-09", "AS-12")
async def test_client_without_any_registration_gets_tokens_and_refreshes_them(
    browser: Browser, app: OAuthClient, publisher: Publisher
) -> None:
    tokens = await app.tokens(browser)
    assert tokens["scope"] == "mcp:read mcp:write"
    again = await app.refresh(tokens["refresh_token"])
    assert again.status_code == 200, again.text
    # The token endpoint goes by what was consented to, and asks nobody.
    assert publisher.asked[URL] == 1
    (request,) = publisher.requests
    assert request.method == "GET"
    assert not {"cookie", "authorization", "referer"} & set(request.headers)


@pytest.mark.requirement("AS-09", "AS-15", "attack-56")
async def test_document_is_fetched_only_for_somebody_who_signed_in(
    server: Running, browser: Browser, app: OAuthClient, publisher: Publisher
) -> None:
    before = await state_of(server)
    page = await browser.http.get(app.url(Pkce.new()))
    assert '<bdi class="name">editor.example</bdi>' in shown(page)
    wrong = await browser.submit(page, {"username": OWNER, "password": "not the password"})
    assert "wrong" in shown(wrong, 400)
    assert publisher.requests == []
    assert await state_of(server) == before
    await browser.sign_in(page)
    assert publisher.asked[URL] == 1


@pytest.mark.requirement("AS-09", "AS-32")
@pytest.mark.parametrize(
    "params",
    [
        {"response_type": None},
        {"response_type": "token"},
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"resource": "https://evil.example"},
        {"scope": 'a"b'},
        {"request": "x"},
        {"prompt": "none login"},
        {"max_age": "-1"},
        {"state": "x" * 5000},
        {"redirect_uri": ["http://localhost/callback", "http://localhost/callback"]},
    ],
    ids="-".join,
)
async def test_malformed_request_is_told_on_a_page_and_fetches_nothing(
    browser: Browser, app: OAuthClient, client: OAuthClient, publisher: Publisher, params: dict[str, str | None]
) -> None:
    for signed_in in (False, True):
        if signed_in:
            await consent_page(browser, client.url(Pkce.new()))
        html = shown(await browser.http.get(app.url(Pkce.new(), **params)), 400)
        assert "<form" not in html
        assert publisher.requests == []


@pytest.mark.requirement("AS-16", "AS-17", "attack-30")
async def test_consent_shows_who_publishes_the_document_and_where_the_answer_goes(
    browser: Browser, app: OAuthClient, hosted: OAuthClient
) -> None:
    html = (await consent_page(browser, app.url(Pkce.new()))).text
    assert "described by <strong><bdi>editor.example</bdi></strong>" in html
    assert "Nobody has verified it" not in html
    assert '<bdi class="name">The editor</bdi>' in html
    assert "<strong><bdi>localhost</bdi></strong>" in html
    assert "Go on only if you just started this yourself" in html
    html = (await consent_page(browser, hosted.url(Pkce.new()))).text
    assert "<strong><bdi>editor.example</bdi></strong></span>" in html
    assert "Go on only if you just started this yourself" not in html


@pytest.mark.requirement("AS-12", "AS-31", "attack-2")
@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/callback",
        "https://editor.example/callback/",
        "https://editor.example/other",
        "http://localhost/other",
        "http://localhost.evil.example/callback",
        "javascript:alert(1)",
    ],
)
async def test_redirect_uri_must_stand_in_the_document(
    browser: Browser, app: OAuthClient, client: OAuthClient, redirect_uri: str
) -> None:
    await consent_page(browser, client.url(Pkce.new()))
    refused(await browser.http.get(app.url(Pkce.new(), redirect_uri=redirect_uri)))


@pytest.mark.requirement("AS-10", "AS-11", "attack-58")
@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"client_id": "https://editor.example/oauth/client.json/"}, "not the URL it was fetched from"),
        ({"client_id": "https://EDITOR.example/oauth/client.json"}, "not the URL it was fetched from"),
        ({"client_id": None}, "not the URL it was fetched from"),
        ({"client_name": None}, "client_name is missing"),
        ({"client_name": ""}, "client_name is missing"),
        ({"client_name": 7}, "client_name must be a string"),
        ({"redirect_uris": None}, "redirect_uris must be a list"),
        ({"redirect_uris": []}, "redirect_uris must be a list"),
        ({"redirect_uris": ["http://evil.example/cb"]}, "plain http to another computer"),
        ({"redirect_uris": ["https://*.example/cb"]}, "no literal host"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "scheme"),
        ({"redirect_uris": ["https://a.example/cb#x"]}, "fragment"),
        ({"client_secret": "x"}, "client_secret"),
        ({"client_secret_expires_at": 0}, "client_secret_expires_at"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "must be one of none, private_key_jwt"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "must be one of none, private_key_jwt"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "public keys"),
        ({"grant_types": ["client_credentials"]}, "authorization_code"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_document_that_is_not_right_is_refused_with_the_reason(
    browser: Browser, app: OAuthClient, publisher: Publisher, members: dict[str, object], said: str
) -> None:
    publisher.publish(**members)
    page = await browser.sign_in(await browser.http.get(app.url(Pkce.new())))
    assert said in refused(page, "invalid_client")


@pytest.mark.requirement("AS-11", "AS-14", "attack-58")
@pytest.mark.parametrize(
    ("page", "said"),
    [
        (Page(b"{}", 404), "status 404"),
        (Page(b"", 302, {"Location": "https://169.254.169.254/"}), "status 302"),
        (Page(b"{}", 200, {"Content-Type": "text/html"}), "media type is text/html"),
        (Page(b"{}", 200, {}), "media type is not stated"),
        (Page(b"[]"), "not a JSON object"),
        (Page(b"{"), "not JSON"),
        (Page(b"\xff"), "not JSON"),
        (Page(b"[" * 4000), "not JSON"),
        (Page(json.dumps({"x": "y" * 5120}).encode()), "longer than 5120 bytes"),
        (None, "could not be fetched"),
    ],
    ids=["404", "redirect", "html", "untyped", "list", "broken", "binary", "deep", "large", "absent"],
)
async def test_answer_that_is_no_document_is_refused_and_not_asked_for_again_at_once(
    server: Running, browser: Browser, app: OAuthClient, publisher: Publisher, page: Page | None, said: str
) -> None:
    publisher.pages = {} if page is None else {URL: page}
    reply = await browser.sign_in(await browser.http.get(app.url(Pkce.new())))
    assert said in refused(reply, "invalid_client")
    assert "nobody listens" not in reply.text
    publisher.publish()
    server.clock.advance(59)
    refused(await browser.http.get(app.url(Pkce.new())), "invalid_client")
    assert publisher.asked == {URL: 1}
    server.clock.advance(1)
    assert "Allow access?" in shown(await browser.http.get(app.url(Pkce.new())))


@pytest.mark.requirement("AS-13")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"Cache-Control": "public, max-age=1000"}, 1000),
        ({"Cache-Control": 'max-age="1000"', "Age": "400"}, 600),
        ({"Cache-Control": "max-age=99999999"}, 86_400),
        ({"Cache-Control": "s-max-age=9, x-max-age=5"}, 300),
        ({"Cache-Control": "max-age=soon"}, 300),
        ({"Cache-Control": "max-age=9", "Age": "never"}, 9),
    ],
    ids=["unstated", "max-age", "age", "bounded", "others", "malformed", "bad age"],
)
async def test_document_is_kept_as_long_as_its_headers_say(
    server: Running,
    browser: Browser,
    app: OAuthClient,
    client: OAuthClient,
    publisher: Publisher,
    headers: dict[str, str],
    seconds: int,
) -> None:
    publisher.headers(headers)
    await browser.sign_in(await browser.http.get(app.url(Pkce.new())))
    for passed, asked in ((seconds - 1, 1), (1, 2)):
        server.clock.advance(passed)
        page = await browser.http.get(app.url(Pkce.new()))
        if "password" in form_of(page.text).inputs:  # a session lasts half a day
            page = await browser.sign_in(page)
        assert publisher.asked[URL] == asked


@pytest.mark.requirement("AS-13")
async def test_document_that_may_not_be_kept_is_fetched_each_time_and_a_tag_renews_it(
    server: Running, browser: Browser, app: OAuthClient, publisher: Publisher
) -> None:
    publisher.headers({"Cache-Control": "no-store"})
    await browser.sign_in(await browser.http.get(app.url(Pkce.new())))
    await browser.http.get(app.url(Pkce.new()))
    assert publisher.asked[URL] == 2
    publisher.headers({"Cache-Control": "max-age=60", "ETag": '"v1"'})
    await browser.http.get(app.url(Pkce.new()))
    assert publisher.asked[URL] == 3
    publisher.pages[URL].body = b"not looked at, for the tag is the same"
    server.clock.advance(60)
    assert "Allow access?" in shown(await browser.http.get(app.url(Pkce.new())))
    assert publisher.asked[URL] == 4
    assert publisher.requests[-1].headers["if-none-match"] == '"v1"'
    server.clock.advance(59)
    assert "Allow access?" in shown(await browser.http.get(app.url(Pkce.new())))
    assert publisher.asked[URL] == 4


@pytest.mark.requirement("AS-14", "attack-58")
async def test_many_requests_at_once_send_one_and_survive_the_first_going_away(
    server: Running, browser: Browser, app: OAuthClient, client: OAuthClient, publisher: Publisher
) -> None:
    await consent_page(browser, client.url(Pkce.new()))
    publisher.open.clear()
    first, *others = [asyncio.create_task(browser.http.get(app.url(Pkce.new()))) for _ in range(10)]
    await publisher.reached.wait()
    first.cancel()
    publisher.open.set()
    for reply in await asyncio.gather(*others):
        assert "Allow access?" in shown(reply)
    assert publisher.asked[URL] == 1


@pytest.mark.requirement("AS-19")
async def test_operator_admits_hosts_by_name_or_none_at_all(
    make_server: MakeServer, publisher: Publisher, closing: AsyncExitStack
) -> None:
    other = publisher.publish("https://other.example/client.json")
    publisher.publish()
    for env, advertised, said in (
        (
            {"MCP_OAUTH_CIMD": "allowlist", "MCP_OAUTH_CIMD_HOSTS": "editor.example"},
            True,
            "other.example are not admitted",
        ),
        ({"MCP_OAUTH_CIMD": "off"}, False, "MCP_OAUTH_CIMD=off"),
    ):
        async with make_server(**env) as server:
            app = documented(closing, server, other)
            browser = browser_of(closing, server, OWNER)
            assert said in refused(await browser.http.get(app.url(Pkce.new())), "invalid_client")
            metadata = (await app.http.get("/.well-known/oauth-authorization-server")).json()
            assert metadata["client_id_metadata_document_supported"] is advertised
            if advertised:
                known = documented(closing, server)
                owner = Browser(server.url)
                closing.push_async_callback(owner.close)
                assert "access_token" in await known.tokens(owner)
    assert publisher.asked == {URL: 1}


@pytest.mark.requirement("AS-19")
async def test_host_that_is_no_longer_admitted_gets_no_new_tokens(
    make_server: MakeServer, publisher: Publisher, closing: AsyncExitStack
) -> None:
    publisher.publish()
    async with make_server() as server:
        owner = Browser(server.url)
        closing.push_async_callback(owner.close)
        tokens = await documented(closing, server).tokens(owner)
    async with make_server(MCP_OAUTH_CIMD="off") as server:
        reply = await documented(closing, server).refresh(tokens["refresh_token"])
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
    async with make_server() as server:
        assert (await documented(closing, server).refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.requirement("attack-60", "AS-08")
@pytest.mark.parametrize(
    "members",
    [{"redirect_uris": [HOSTED, "https://new.example/cb"]}, {"redirect_uris": [HOSTED]}],
    ids=["added", "removed"],
)
async def test_changed_redirect_uris_ask_again(
    server: Running, browser: Browser, hosted: OAuthClient, publisher: Publisher, members: dict[str, object]
) -> None:
    await hosted.tokens(browser)
    assert "code" in answered(await browser.http.get(hosted.url(Pkce.new())), hosted)
    publisher.publish(client_name="Renamed")
    server.clock.advance(301)
    assert "code" in answered(await browser.http.get(hosted.url(Pkce.new())), hosted)
    publisher.publish(**members)
    server.clock.advance(301)
    redirected_error(await browser.http.get(hosted.url(Pkce.new(), prompt="none")), hosted, "consent_required")
    assert "Allow access?" in shown(await browser.http.get(hosted.url(Pkce.new())))
    await hosted.tokens(browser)
    assert "code" in answered(await browser.http.get(hosted.url(Pkce.new())), hosted)


@pytest.mark.requirement("AS-16", "attack-24")
async def test_consent_is_remembered_for_the_host_and_never_for_this_computer(
    browser: Browser, app: OAuthClient, hosted: OAuthClient
) -> None:
    await hosted.tokens(browser)
    assert "code" in answered(await browser.http.get(hosted.url(Pkce.new())), hosted)
    assert "code" in answered(await browser.http.get(hosted.url(Pkce.new(), prompt="none")), hosted)
    await app.tokens(browser)
    assert "Allow access?" in shown(await browser.http.get(app.url(Pkce.new())))
    redirected_error(await browser.http.get(app.url(Pkce.new(), prompt="none")), app, "consent_required")


@pytest.mark.requirement("AS-18", "attack-24")
async def test_consent_is_not_remembered_where_the_answer_goes_to_a_program_on_this_computer(
    server: Running, browser: Browser, publisher: Publisher, closing: AsyncExitStack
) -> None:
    local = "https://localhost:9443/cb"
    publisher.publish(redirect_uris=[local])
    client = documented(closing, server, redirect_uri=local)
    for _ in range(2):
        page = await consent_page(browser, client.url(Pkce.new()))
        assert "Any program on this computer could be using this name" in shown(page)
        assert "code" in answered(await browser.consent(page), client, 303)


@pytest.mark.requirement("AS-08", "attack-60")
async def test_grant_lives_on_with_the_document_that_was_consented_to(
    server: Running, browser: Browser, hosted: OAuthClient, publisher: Publisher, closing: AsyncExitStack
) -> None:
    tokens = await hosted.tokens(browser)
    publisher.publish(redirect_uris=[HOSTED], grant_types=["authorization_code"])
    server.clock.advance(301)
    await add_user(server)
    alice = browser_of(closing, server)
    assert "refresh_token" not in await hosted.tokens(alice)
    again = await hosted.refresh(tokens["refresh_token"])
    assert again.status_code == 200, again.text


async def test_silent_request_of_nobody_cannot_be_sent_to_an_unverified_address(
    browser: Browser, app: OAuthClient, publisher: Publisher
) -> None:
    refused(await browser.http.get(app.url(Pkce.new(), prompt="none")), "login_required")
    assert publisher.requests == []


@pytest.mark.requirement("AS-32")
async def test_code_belongs_to_the_url_it_was_issued_to(
    server: Running, browser: Browser, app: OAuthClient, publisher: Publisher, closing: AsyncExitStack
) -> None:
    other = documented(closing, server, publisher.publish("https://other.example/client.json"))
    await other.tokens(browser)
    pkce = Pkce.new()
    code = await app.code(browser, pkce)
    assert (await other.redeem(code, pkce)).json()["error"] == "invalid_grant"
    assert (await app.redeem(code, pkce)).status_code == 200


async def test_auto_approval_takes_a_document_too(
    make_server: MakeServer, publisher: Publisher, closing: AsyncExitStack
) -> None:
    publisher.publish()
    async with make_server(MCP_OAUTH_AUTO_APPROVE=OWNER) as server:
        app, hosted = documented(closing, server), documented(closing, server, redirect_uri=HOSTED)
        async with httpx2.AsyncClient(base_url=server.url) as http:
            assert "code" in answered(await http.get(app.url(Pkce.new())), app)
            assert "Sign in" in shown(await http.get(hosted.url(Pkce.new())))


async def test_account_names_the_publisher(browser: Browser, app: OAuthClient) -> None:
    await app.tokens(browser)
    html = shown(await browser.http.get("/account"))
    assert "described by <strong><bdi>editor.example</bdi></strong>" in html
    assert CALLBACK.partition("//")[2].partition("/")[0] in html
