"""The authorization response names its issuer, byte for byte, on success and on every error (RFC 9207)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.authorize import answered, browser_of, consent_page, redirected_error, registered
from tests.support.browser import Browser, query_of
from tests.support.databases import Template
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running, running

DOCUMENTS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


@pytest.fixture(scope="module")
async def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One server for the module: its tests look at what they change themselves."""
    async with running(template, tmp_path_factory.mktemp("server")) as found:
        yield found


async def metadata_of(http: httpx2.AsyncClient) -> dict[str, Any]:
    first, second = [(await http.get(path)).json() for path in DOCUMENTS]
    assert {name: second[name] for name in first} == first
    found: dict[str, Any] = second
    return found


@pytest.mark.requirement("attack-13", "AS-23", "AS-24", "AS-25")
async def test_iss_is_the_issuer_of_the_metadata_on_success(browser: Browser, client: OAuthClient) -> None:
    metadata = await metadata_of(client.http)
    assert metadata["authorization_response_iss_parameter_supported"] is True
    answer = query_of(await browser.authorize(client.url(Pkce.new())))
    assert answer["iss"] == metadata["issuer"] == client.server.url


@pytest.mark.requirement("attack-13", "AS-23", "AS-24")
@pytest.mark.parametrize(
    ("error", "params"),
    [
        ("unsupported_response_type", {"response_type": "token"}),
        ("invalid_request", {"response_type": None}),
        ("invalid_request", {"response_mode": "fragment"}),
        ("invalid_request", {"code_challenge": None}),
        ("invalid_request", {"code_challenge_method": "plain"}),
        ("invalid_request", {"code_challenge": "short"}),
        ("invalid_request", {"prompt": "none login"}),
        ("invalid_request", {"max_age": "-1"}),
        ("invalid_request", {"nonce": "n" * 2000}),
        ("invalid_scope", {"scope": "nothing"}),
        ("invalid_scope", {"scope": '"'}),
        ("invalid_target", {"resource": "https://evil.example"}),
        ("request_not_supported", {"request": "x"}),
        ("request_uri_not_supported", {"request_uri": "urn:x"}),
        ("registration_not_supported", {"registration": "{}"}),
        ("login_required", {"prompt": "none"}),
    ],
    ids=str,
)
async def test_iss_is_on_every_error_sent_to_the_client(
    client: OAuthClient, error: str, params: dict[str, Any]
) -> None:
    reply = await client.http.get(client.url(Pkce.new(), **params))
    # `redirected_error` checks state and iss.
    redirected_error(reply, client, error)
    assert query_of(reply.headers["location"])["iss"] == (await metadata_of(client.http))["issuer"]


@pytest.mark.requirement("attack-13", "AS-23", "AS-24")
async def test_iss_is_on_the_errors_of_a_signed_in_person(browser: Browser, client: OAuthClient) -> None:
    page = await consent_page(browser, client.url(Pkce.new()))
    reply = await browser.submit(page, button=("decision", "deny"))
    redirected_error(reply, client, "access_denied", status=303)


@pytest.mark.requirement("attack-13", "AS-23")
async def test_iss_of_the_redirect_uri_itself_does_not_stand_in_for_ours(
    server: Running, browser: Browser, closing: AsyncExitStack
) -> None:
    client = await registered(closing, server, redirect_uris=["https://app.example/cb?from=here"])
    location = await browser.authorize(client.url(Pkce.new()))
    assert location.startswith("https://app.example/cb?from=here&code=")
    assert query_of(location)["iss"] == server.url


@pytest.mark.requirement("AS-23", "AS-24", "AS-25")
@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "127.0.0.1"])
async def test_iss_never_follows_the_host_header(server: Running, client: OAuthClient, host: str) -> None:
    headers = {
        "Host": host.format(port=server.port),
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example",
    }
    reply = await client.http.get(client.url(Pkce.new(), prompt="none"), headers=headers)
    redirected_error(reply, client, "login_required")
    assert (await client.http.get(DOCUMENTS[0], headers=headers)).json()["issuer"] == server.url


@pytest.mark.requirement("AS-23", "AS-24", "AS-25", "AS-29")
async def test_https_issuer_is_the_iss(make_server: MakeServer, closing: AsyncExitStack) -> None:
    issuer = "https://mcp.example.com"
    server = await closing.enter_async_context(make_server(MCP_OAUTH_ISSUER=issuer))
    client = OAuthClient(server)
    await client.close()
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}", headers={"Host": "mcp.example.com"}
    ) as http:
        reply = await http.get(client.url(Pkce.new(), prompt="none").removeprefix(issuer))
        redirected_error(reply, client, "login_required")
        metadata = await metadata_of(http)
    assert metadata["issuer"] == query_of(reply.headers["location"])["iss"] == issuer


@pytest.mark.requirement("AS-05", "AS-36")
async def test_metadata_says_s256_in_both_documents_and_nothing_else_is_taken(
    server: Running, closing: AsyncExitStack
) -> None:
    client, browser = OAuthClient(server), browser_of(closing, server, OWNER, PASSWORD)
    closing.push_async_callback(client.close)
    for path in DOCUMENTS:
        assert (await client.http.get(path)).json()["code_challenge_methods_supported"] == ["S256"]
    pkce = Pkce.new()
    reply = await client.http.get(client.url(pkce, code_challenge=pkce.verifier, code_challenge_method="plain"))
    redirected_error(reply, client, "invalid_request")
    page = await consent_page(browser, client.url(pkce))
    code = answered(await browser.consent(page), client, 303)["code"]
    assert (await client.redeem(code, pkce)).status_code == 200
