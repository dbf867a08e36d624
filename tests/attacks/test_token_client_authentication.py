"""A token request comes from the client it names, by the method that client registered (RFC 6749 section 2.3)."""

from base64 import b64encode
from contextlib import AsyncExitStack
from urllib.parse import quote, quote_plus, unquote_plus

import pytest

from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.oauth import DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.outside import assert_error, registered, rows
from tests.support.server import OWNER, PASSWORD, Running

SECRET = "p%40ss:w+rd &=%/\"'~ of the operator"


def basic(client_id: str, secret: str) -> dict[str, str]:
    """A Basic header as RFC 6749 section 2.3.1 asks for: both parts form-encoded."""
    return raw_basic(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode())


def raw_basic(credentials: bytes) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(credentials).decode()}"}


def code_form(client: OAuthClient, code: str, pkce: Pkce, **form: str) -> dict[str, str]:
    """A redemption without anything that names the client."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": pkce.verifier,
        **form,
    }


@pytest.mark.requirement("AS-01", "attack-39")
async def test_basic_credentials_are_form_decoded_and_need_no_client_id_in_the_body(
    make_server: MakeServer, closing: AsyncExitStack
) -> None:
    name = "client with blanks:and+more%"
    async with make_server(MCP_OAUTH_CLIENT_SECRET=SECRET, MCP_OAUTH_CLIENT_ID=name) as server:
        browser, client = Browser(server.url), OAuthClient(server, name)
        closing.push_async_callback(browser.close)
        closing.push_async_callback(client.close)
        pkce = Pkce.new()
        form = code_form(client, await client.code(browser, pkce), pkce)
        for headers in (
            raw_basic(f"{name}:{SECRET}".encode()),
            raw_basic(f"{quote_plus(name)}:{SECRET}x".encode()),
            basic(name, SECRET + "x"),
            basic(name, quote_plus(SECRET)),
            basic(name, ""),
        ):
            assert_error(await client.http.post("/oauth/token", data=form, headers=headers), 401, "invalid_client")
        reply = await client.http.post("/oauth/token", data=form, headers=basic(name, SECRET))
        assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        "a+b" * 12,
        "100%" * 8,
        "%41" * 12,
        "50%2" * 8,
        "%ff" * 12,
        "colon:colon" * 3,
        "c29tZSBiYXNlNjQrL3ZhbHVlIGhlcmU+Pz8/Pz8=",
    ],
)
@pytest.mark.requirement("AS-01", "attack-39")
async def test_a_secret_in_basic_counts_encoded_and_as_it_is_and_in_no_third_spelling(
    make_server: MakeServer, closing: AsyncExitStack, secret: str
) -> None:
    async with make_server(MCP_OAUTH_CLIENT_SECRET=secret) as server, server.client() as http:
        form = {"grant_type": "refresh_token", "refresh_token": "x"}

        async def answer(spelling: str) -> tuple[int, str]:
            headers = raw_basic(f"{DEFAULT_CLIENT}:{spelling}".encode())
            reply = await http.post("/oauth/token", data=form, headers=headers)
            return reply.status_code, reply.json()["error"]

        right, wrong = (400, "invalid_grant"), (401, "invalid_client")
        for spelling in (quote_plus(secret), quote(secret, safe=""), secret):
            assert await answer(spelling) == right, spelling
        for spelling in (quote_plus(quote_plus(secret)), unquote_plus(secret), secret + "%", secret[:-1], ""):
            if spelling not in (secret, quote_plus(secret)):
                assert await answer(spelling) == wrong, spelling


@pytest.mark.requirement("AS-01", "attack-38")
async def test_secrets_of_this_server_need_no_encoding(server: Running, closing: AsyncExitStack) -> None:
    for method in ("client_secret_basic", "client_secret_post"):
        made = await registered(closing, server, token_endpoint_auth_method=method)
        for value in (made.client_id, made.secret or ""):
            assert value
            assert quote_plus(value) == quote(value, safe="") == value


@pytest.mark.requirement("AS-01", "attack-38")
async def test_a_configured_secret_makes_the_preregistered_client_confidential(
    make_server: MakeServer, closing: AsyncExitStack
) -> None:
    async with make_server(MCP_OAUTH_CLIENT_SECRET=SECRET) as server:
        browser, client = Browser(server.url), OAuthClient(server)
        closing.push_async_callback(browser.close)
        closing.push_async_callback(client.close)
        pkce = Pkce.new()
        code = await client.code(browser, pkce)
        before = rows(server)
        assert_error(await client.redeem(code, pkce), 401, "invalid_client")
        assert_error(await client.redeem(code, pkce, client_secret=""), 401, "invalid_client")
        assert_error(await client.redeem(code, pkce, client_secret="wrong"), 401, "invalid_client")
        assert rows(server) == before
        tokens = await client.redeem(code, pkce, client_secret=SECRET)
        assert tokens.status_code == 200, tokens.text
        refresh = {"grant_type": "refresh_token", "refresh_token": tokens.json()["refresh_token"]}
        assert_error(await client.token(**refresh), 401, "invalid_client")
        reply = await client.http.post("/oauth/token", data=refresh, headers=basic(DEFAULT_CLIENT, SECRET))
        assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.requirement("attack-37", "attack-38", "AS-01")
async def test_only_the_registered_method_is_accepted(
    server: Running, browser: Browser, closing: AsyncExitStack, method: str
) -> None:
    client = await registered(closing, server, token_endpoint_auth_method=method)
    pkce = Pkce.new()
    form = code_form(client, await client.code(browser, pkce), pkce)
    secret = client.secret or ""
    by_method = {
        "none": ({**form, "client_id": client.client_id}, {}),
        "client_secret_post": ({**form, "client_id": client.client_id, "client_secret": secret}, {}),
        "client_secret_basic": (form, basic(client.client_id, secret)),
    }
    before = rows(server)
    for other, (data, headers) in by_method.items():
        if other != method:
            reply = await client.http.post("/oauth/token", data=data, headers=headers)
            assert_error(reply, 401, "invalid_client")
    assert rows(server) == before
    data, headers = by_method[method]
    reply = await client.http.post("/oauth/token", data=data, headers=headers)
    assert reply.status_code == 200, reply.text


@pytest.mark.requirement("attack-38")
async def test_a_public_client_that_sends_a_secret_is_refused(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    before = rows(server)
    assert_error(await client.redeem(code, pkce, client_secret="anything"), 401, "invalid_client")
    form = code_form(client, code, pkce)
    reply = await client.http.post("/oauth/token", data=form, headers=basic(client.client_id, "anything"))
    assert_error(reply, 401, "invalid_client")
    assert rows(server) == before
    assert (await client.redeem(code, pkce)).status_code == 200


@pytest.mark.requirement("AS-01", "attack-38")
async def test_an_empty_secret_is_none_wherever_it_is_sent(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    pkce = Pkce.new()
    form = code_form(client, await client.code(browser, pkce), pkce)
    reply = await client.http.post("/oauth/token", data=form, headers=basic(client.client_id, ""))
    assert reply.status_code == 200, reply.text
    assert (await client.refresh(reply.json()["refresh_token"], client_secret="")).status_code == 200
    # It authenticates nobody who has a secret.
    for method in ("client_secret_basic", "client_secret_post"):
        app = await registered(closing, server, token_endpoint_auth_method=method)
        form = code_form(app, await app.code(browser, pkce), pkce)
        for data, headers in (
            (form, basic(app.client_id, "")),
            ({**form, "client_id": app.client_id, "client_secret": ""}, {}),
            (form, basic("", "")),
        ):
            reply = await app.http.post("/oauth/token", data=data, headers=headers)
            assert_error(reply, 401, "invalid_client")


@pytest.mark.requirement("attack-37")
async def test_two_methods_at_once_are_refused_even_when_both_are_right(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
    pkce = Pkce.new()
    form = code_form(client, await client.code(browser, pkce), pkce)
    secret = client.secret or ""
    right = basic(client.client_id, secret)
    before = rows(server)
    assertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    for extra, status, error in (
        ({"client_secret": secret}, 400, "invalid_request"),
        ({"client_id": client.client_id, "client_secret": secret}, 400, "invalid_request"),
        ({"client_id": DEFAULT_CLIENT}, 400, "invalid_request"),
        ({"client_assertion": "e30.e30.", "client_assertion_type": assertion}, 400, "invalid_request"),
    ):
        reply = await client.http.post("/oauth/token", data={**form, **extra}, headers=right)
        assert_error(reply, status, error)
    assert rows(server) == before
    # The client's own name beside the header is no second method.
    reply = await client.http.post("/oauth/token", data={**form, "client_id": client.client_id}, headers=right)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    ("header", "names_a_client"),
    [
        ("Basic", False),
        ("Basic !!!", False),
        ("Basic " + b64encode(b"no colon").decode(), False),
        ("Basic " + b64encode(b"\xff\xfe:\xff").decode(), False),
        ("Basic a" + "A" * 9000, False),
        ("Basic " + b64encode(b"\x00:\x00").decode(), True),
        ("Basic " + b64encode(b"%00:%00").decode(), True),
        ("Basic " + b64encode(b"%ff%fe:%").decode(), True),
        ("Basic " + b64encode(b":").decode(), True),
        ("basic " + b64encode(b"unknown:secret").decode(), True),
        ("BASIC\t" + b64encode(b"unknown:secret").decode(), True),
    ],
)
@pytest.mark.requirement("attack-39", "attack-36")
async def test_malformed_basic_credentials_are_an_invalid_client(
    server: Running, browser: Browser, client: OAuthClient, header: str, names_a_client: bool
) -> None:
    pkce = Pkce.new()
    form = code_form(client, await client.code(browser, pkce), pkce)
    before = rows(server)
    headers = {"Authorization": header}
    assert_error(await client.http.post("/oauth/token", data=form, headers=headers), 401, "invalid_client")
    # A client that tries the header and fails is not let in by its name in the body (RFC 6749 section 5.2).
    form["client_id"] = client.client_id
    reply = await client.http.post("/oauth/token", data=form, headers=headers)
    if names_a_client:
        assert_error(reply, 400, "invalid_request")
    else:
        assert_error(reply, 401, "invalid_client")
    assert rows(server) == before


@pytest.mark.requirement("attack-36", "attack-38")
async def test_a_request_that_names_no_client_or_an_unknown_one_is_an_invalid_client(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    form = code_form(client, await client.code(browser, pkce), pkce)
    before = rows(server)
    for name in ({}, {"client_id": ""}, {"client_id": "unknown"}, {"client_id": "unknown", "client_secret": "x"}):
        assert_error(await client.http.post("/oauth/token", data={**form, **name}), 401, "invalid_client")
    # RFC 6749 section 2.3.1: the credentials MUST NOT be in the request URI; there they are not looked at.
    reply = await client.http.post("/oauth/token", params={"client_id": client.client_id}, data=form)
    assert_error(reply, 401, "invalid_client")
    assert rows(server) == before


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
@pytest.mark.requirement("attack-43", "AS-01")
async def test_no_other_grant_type_gives_a_token(server: Running, closing: AsyncExitStack, method: str) -> None:
    client = await registered(closing, server, token_endpoint_auth_method=method)
    before = rows(server)
    for grant_type in (
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "AUTHORIZATION_CODE",
        "authorization_code ",
    ):
        reply = await client.token(grant_type=grant_type, scope="mcp:admin", username=OWNER, password=PASSWORD)
        assert_error(reply, 400, "unsupported_grant_type")
    assert_error(await client.token(grant_type="client_credentials"), 400, "unauthorized_client")
    for missing in (None, ""):
        assert_error(await client.token(grant_type=missing, code="x"), 400, "invalid_request")
    assert rows(server) == before


@pytest.mark.requirement("attack-43")
async def test_a_client_cannot_use_a_grant_type_it_did_not_register(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    modest = await registered(closing, server, grant_types=["authorization_code"])
    pkce = Pkce.new()
    tokens = (await modest.redeem(await modest.code(browser, pkce), pkce)).json()
    assert "refresh_token" not in tokens
    other = await client.tokens(browser)
    before = rows(server)
    assert_error(await modest.refresh(other["refresh_token"]), 400, "unauthorized_client")
    assert rows(server) == before


@pytest.mark.requirement("attack-41")
async def test_parameters_in_the_query_are_ignored(server: Running, browser: Browser, client: OAuthClient) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    form = code_form(client, code, pkce, client_id=client.client_id)
    before = rows(server)
    assert_error(await client.http.post("/oauth/token", params=form, data={}), 400, "invalid_request")
    in_body = {name: value for name, value in form.items() if name != "code"}
    reply = await client.http.post("/oauth/token", params={"code": code}, data=in_body)
    assert_error(reply, 400, "invalid_request")
    assert rows(server) == before
    reply = await client.http.post("/oauth/token", params={"code": "another", "client_id": "x"}, data=form)
    assert reply.status_code == 200, reply.text


@pytest.mark.requirement("attack-41")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_the_token_endpoint_answers_post_alone(
    server: Running, browser: Browser, client: OAuthClient, method: str
) -> None:
    pkce = Pkce.new()
    form = code_form(client, await client.code(browser, pkce), pkce, client_id=client.client_id)
    before = rows(server)
    reply = await client.http.request(method, "/oauth/token", params=form)
    assert reply.status_code == 405
    assert reply.headers["allow"] == "POST"
    if method != "HEAD":
        assert_error(reply, 405, "invalid_request")
    assert rows(server) == before


@pytest.mark.requirement("attack-36")
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
async def test_every_401_says_how_a_client_authenticates(server: Running, client: OAuthClient, path: str) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"}
    for named, headers in (
        ({}, {}),
        ({}, {"Authorization": "Bearer abc"}),
        ({"client_id": "nobody"}, {}),
        ({"client_id": "nobody", "client_secret": "x"}, {}),
        ({"client_assertion": "x"}, {}),
        ({}, basic("nobody", "x")),
    ):
        reply = await client.http.post(path, data=form | named, headers=headers)
        assert_error(reply, 401, "invalid_client")
        assert reply.headers.get_list("www-authenticate") == ['Basic realm="token endpoint", charset="UTF-8"']
