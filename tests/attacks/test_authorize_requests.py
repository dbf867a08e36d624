"""Authorization requests that ask for what OAuth 2.1 does not give."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.conftest import MakeServer
from tests.support.authorize import browser_of, consent_page, redirected_error, refused, registered, shown, state_of
from tests.support.browser import Browser
from tests.support.databases import Template
from tests.support.issuers import HTTPS
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running, running

CONFIDENTIAL = "client_secret_basic"
Params = dict[str, str | list[str] | None]


@pytest.fixture(scope="module")
async def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One server for the module: no request in it is granted, so nothing is ever changed."""
    async with running(template, tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(scope="module", params=["none", CONFIDENTIAL])
async def client(server: Running, request: pytest.FixtureRequest) -> AsyncIterator[OAuthClient]:
    """A public and a confidential client: the rules are the same for both."""
    found = await OAuthClient.register(server, token_endpoint_auth_method=request.param)
    yield found
    await found.close()


@pytest.fixture(scope="module")
async def signed_in(server: Running) -> AsyncIterator[Browser]:
    """A browser in which the owner is signed in already: even then nothing is granted."""
    browser, client = Browser(server.url, http=server.client()), OAuthClient(server)
    await browser.sign_in(await browser.http.get(client.url(Pkce.new())))
    yield browser
    await browser.close()
    await client.close()


async def refusal(browser: Browser, client: OAuthClient, error: str, params: Params) -> str:
    """The description of the error that the client is told; nothing is stored for it, and nobody is asked."""
    before = await state_of(client.server)
    reply = await browser.http.get(client.url(Pkce.new(), **params))
    described = redirected_error(reply, client, error)
    assert await state_of(client.server) == before
    return described


@pytest.mark.requirement("attack-7", "AS-23")
@pytest.mark.parametrize(
    ("response_type", "error"),
    [
        (None, "invalid_request"),
        ("", "invalid_request"),
        ("token", "unsupported_response_type"),
        ("id_token", "unsupported_response_type"),
        ("code token", "unsupported_response_type"),
        ("code id_token", "unsupported_response_type"),
        ("code ", "unsupported_response_type"),
        ("Code", "unsupported_response_type"),
        ("none", "unsupported_response_type"),
    ],
)
async def test_only_response_type_code_is_served(
    signed_in: Browser, client: OAuthClient, response_type: str | None, error: str
) -> None:
    await refusal(signed_in, client, error, {"response_type": response_type})


@pytest.mark.requirement("attack-7")
@pytest.mark.parametrize("mode", ["fragment", "form_post", "web_message", "query.jwt", "QUERY"])
async def test_code_comes_only_in_the_query(signed_in: Browser, client: OAuthClient, mode: str) -> None:
    await refusal(signed_in, client, "invalid_request", {"response_mode": mode})


@pytest.mark.requirement("attack-8", "attack-11", "AS-36")
@pytest.mark.parametrize("challenge", [None, ""])
@pytest.mark.parametrize("method", [None, "S256", "plain"])
async def test_code_challenge_is_required_of_every_client(
    signed_in: Browser, client: OAuthClient, challenge: str | None, method: str | None
) -> None:
    params: Params = {"code_challenge": challenge, "code_challenge_method": method}
    assert "code_challenge" in await refusal(signed_in, client, "invalid_request", params)


@pytest.mark.requirement("attack-9", "AS-05", "AS-36")
@pytest.mark.parametrize("method", [None, "", "plain", "s256", "S256 ", "S512", "none", "S256\x7f"], ids=repr)
async def test_code_challenge_method_is_s256(signed_in: Browser, client: OAuthClient, method: str | None) -> None:
    described = await refusal(signed_in, client, "invalid_request", {"code_challenge_method": method})
    assert "S256" in described


@pytest.mark.requirement("attack-10", "AS-36")
@pytest.mark.parametrize(
    "challenge",
    [
        "a",
        "a" * 42,
        "a" * 44,
        "a" * 42 + "=",
        "a" * 43 + "=",
        "a" * 42 + "+",
        "a" * 42 + "/",
        "a" * 42 + ".",
        "a" * 42 + "~",
        "a" * 42 + "\n",
        "a" * 43 + "\n",
        " " + "a" * 42,
        "a" * 42 + "\u00e9",
        "a" * 42 + "\uff11",
        "a" * 5000,
    ],
    ids=lambda challenge: ascii(challenge[-4:]) + str(len(challenge)),
)
async def test_code_challenge_is_43_base64url_characters(
    signed_in: Browser, client: OAuthClient, challenge: str
) -> None:
    await refusal(signed_in, client, "invalid_request", {"code_challenge": challenge})


@pytest.mark.requirement("attack-14")
@pytest.mark.parametrize(
    "resource",
    [
        "https://evil.example",
        "{issuer}/mcp-evil",
        "{issuer}/mcp/more",
        "{issuer}/mcp/",
        "{issuer}/MCP",
        "{issuer}.evil.example",
        "{issuer}.evil.example/mcp",
        "{issuer}0/mcp",
        "{issuer}/mcp#fragment",
        "{issuer}#",
        "{issuer}/mcp?x=1",
        "{issuer}/../mcp",
        "{issuer}//mcp",
        "{issuer}\\mcp",
        "{issuer}@evil.example",
        "http://user@{authority}/mcp",
        "http://evil.example@{authority}/mcp",
        "https://{authority}/mcp",
        "http://localhost.evil.example/mcp",
        "http://localhost/mcp",
        "//{authority}/mcp",
        "/mcp",
        "mcp",
        "{authority}/mcp",
        "urn:mcp",
        "\n{issuer}/mcp",
        "{issuer}/mcp ",
        "{issuer}/m\u0441p",
        "http://[::1/mcp",
        "http://localhost:99999/mcp",
    ],
    ids=ascii,
)
async def test_resource_that_is_not_served_here_is_invalid_target(
    signed_in: Browser, client: OAuthClient, resource: str
) -> None:
    issuer = client.server.url
    resource = resource.format(issuer=issuer, authority=issuer.removeprefix("http://"))
    await refusal(signed_in, client, "invalid_target", {"resource": resource})
    # One good resource does not make up for a foreign one, whichever comes first.
    await refusal(signed_in, client, "invalid_target", {"resource": [f"{issuer}/mcp", resource]})
    await refusal(signed_in, client, "invalid_target", {"resource": [resource, f"{issuer}/mcp"]})


@pytest.mark.requirement("attack-16")
@pytest.mark.parametrize(
    "character", ['"', "\\", "\x01", "\t", "\n", "\r", "\x7f", "\u00e9", "\u2028", "\u00a0"], ids=ascii
)
async def test_scope_with_a_character_no_scope_may_have_is_invalid_scope(
    signed_in: Browser, client: OAuthClient, character: str
) -> None:
    for scope in (f"mcp:read{character}", f"mcp:read {character}", f"mcp:read{character}mcp:write"):
        await refusal(signed_in, client, "invalid_scope", {"scope": scope})


@pytest.mark.requirement("attack-16")
@pytest.mark.parametrize(
    "scope", ["nothing", "mcp:READ", "mcp:", "mcp", "mcp:read:all", "mcp:read,mcp:write", " ", "x" * 3000]
)
async def test_scope_of_which_nothing_exists_is_invalid_scope(
    signed_in: Browser, client: OAuthClient, scope: str
) -> None:
    await refusal(signed_in, client, "invalid_scope", {"scope": scope})
    # Nobody is asked to sign in for nothing.
    redirected_error(await client.http.get(client.url(Pkce.new(), scope=scope)), client, "invalid_scope")


@pytest.mark.requirement("attack-17")
@pytest.mark.parametrize("name", ["request", "request_uri", "registration"])
async def test_request_object_is_not_supported_and_never_fetched(
    signed_in: Browser, client: OAuthClient, name: str
) -> None:
    fetched: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fetched.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        for value in (f"http://127.0.0.1:{port}/request.jwt", "urn:example:request", "eyJhbGciOiJub25lIn0.e30.", "{}"):
            await refusal(signed_in, client, f"{name}_not_supported", {name: value})
    assert not fetched


@pytest.mark.requirement("attack-17")
async def test_claims_parameter_is_ignored_as_the_metadata_says(server: Running, browser: Browser) -> None:
    client = OAuthClient(server)
    metadata = (await client.http.get("/.well-known/openid-configuration")).json()
    # A claim that is not understood MUST be ignored (OpenID Connect Core 1.0 section 5.5).
    assert metadata.get("claims_parameter_supported", False) is False
    assert metadata["request_uri_parameter_supported"] is False
    shown(await browser.http.get(client.url(Pkce.new(), claims='{"id_token":{"sub":{"value":"someone"}}}')))
    await client.close()


@pytest.mark.requirement("attack-18")
async def test_prompt_none_without_a_session_is_login_required(server: Running, client: OAuthClient) -> None:
    browser = Browser(server.url, http=server.client())
    await refusal(browser, client, "login_required", {"prompt": "none"})
    await browser.close()


@pytest.mark.requirement("attack-18")
@pytest.mark.parametrize("method", ["none", CONFIDENTIAL])
async def test_prompt_none_without_a_consent_is_consent_required(
    make_server: MakeServer, closing: AsyncExitStack, method: str
) -> None:
    server = await closing.enter_async_context(make_server(MCP_OAUTH_ISSUER=HTTPS))
    client = await registered(closing, server, token_endpoint_auth_method=method)
    browser = browser_of(closing, server, OWNER, PASSWORD)
    await consent_page(browser, client.url(Pkce.new()))
    await refusal(browser, client, "consent_required", {"prompt": "none"})


@pytest.mark.requirement("attack-18")
@pytest.mark.parametrize(
    "prompt", ["none login", "consent none", "none select_account", "create", "NONE", "login,consent"]
)
async def test_prompt_with_a_contradiction_or_an_unknown_value_is_refused(
    signed_in: Browser, client: OAuthClient, prompt: str
) -> None:
    await refusal(signed_in, client, "invalid_request", {"prompt": prompt})


@pytest.mark.requirement("AS-37")
@pytest.mark.parametrize("max_age", ["-1", "1.5", "x", " 1", "\u0661", "1" * 10, "1e3", "0x1"], ids=ascii)
async def test_max_age_is_whole_seconds(signed_in: Browser, client: OAuthClient, max_age: str) -> None:
    await refusal(signed_in, client, "invalid_request", {"max_age": max_age})


@pytest.mark.requirement("AS-37")
async def test_state_and_nonce_have_a_limit(signed_in: Browser, client: OAuthClient) -> None:
    before = await state_of(client.server)
    for state in ("s" * 4097, "s" * 20_000, "\U0001f600" * 2100):
        reply = await signed_in.http.get(client.url(Pkce.new(), state=state))
        if len(state) > 4096:
            assert "state" in redirected_error(reply, client, "invalid_request", state=state)
        else:
            shown(reply)
    assert "nonce" in await refusal(signed_in, client, "invalid_request", {"nonce": "n" * 1025})
    assert await state_of(client.server) == before
    shown(await signed_in.http.get(client.url(Pkce.new(), state="s" * 4096, nonce="n" * 1024)))


@pytest.mark.requirement("AS-37")
@pytest.mark.parametrize("query", ["client_id=%ff", "client_id=%c3%28", "client_id=%00", "%00=1", "a=1&" * 101])
async def test_query_that_cannot_be_read_is_a_page(client: OAuthClient, query: str) -> None:
    refused(await client.http.get(f"/oauth/authorize?{query}"))


@pytest.mark.requirement("AS-37")
async def test_wrong_method_media_type_and_size_are_pages(client: OAuthClient) -> None:
    url = client.url(Pkce.new())
    before = await state_of(client.server)
    for method in ("PUT", "DELETE", "PATCH"):
        reply = await client.http.request(method, url)
        refused(reply, status=405)
        assert "GET" in reply.headers["allow"]
        assert "POST" in reply.headers["allow"]
    for media_type in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
        refused(await client.http.post(url, content=b"a=1", headers={"Content-Type": media_type}))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(await client.http.post(url, content=b"a=" + b"x" * 65535, headers=form), status=413)
    assert await state_of(client.server) == before
