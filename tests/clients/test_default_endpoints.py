"""The default endpoints of revision 2025-03-26: for clients that know no metadata, or have forgotten it."""

from collections.abc import AsyncIterator

import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from tests.conftest import MakeServer
from tests.support.authorize import shown
from tests.support.browser import Browser, query_of
from tests.support.mcp_clients import Era, Keychain, Person, connected, sdk_auth
from tests.support.oauth import CALLBACK, OAuthClient, Pkce
from tests.support.server import Running


@pytest.fixture
async def server(make_server: MakeServer) -> AsyncIterator[Running]:
    """A server whose access tokens live for one minute, and a web application that may call it."""
    async with make_server(MCP_OAUTH_TOKEN_EXPIRY="60", MCP_OAUTH_ALLOW_ORIGINS="https://app.example") as found:
        yield found


@pytest.mark.requirement("AS-26", "AS-05")
async def test_python_sdk_restarted_with_an_expired_token_and_stored_credentials_refreshes_and_asks_nobody(
    era: Era, server: Running, person: Person
) -> None:
    keychain = Keychain()
    async with connected("sdk", era, f"{server.url}/mcp", person, keychain) as connection:
        await connection.tools()
        first = connection.token
    server.clock.advance(3600)
    # Another process: all it has is what was stored, and that the access token has expired.
    auth = sdk_auth(f"{server.url}/mcp", person, keychain)
    auth.context.token_expiry_time = 1.0
    async with (
        httpx2.AsyncClient(auth=auth) as http,
        mcp.Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=era) as client,
    ):
        listed = await client.list_tools()
    assert "mcp_oauth_get_configuration" in {tool.name for tool in listed.tools}
    refreshed = auth.exchanges[0]
    assert (refreshed.method, refreshed.path, refreshed.status) == ("POST", "/token", 200)
    assert refreshed.form["refresh_token"] == first.refresh_token
    assert keychain.tokens is not None
    assert keychain.tokens.access_token != first.access_token
    assert {sent.path for sent in auth.exchanges[1:]} == {"/mcp"}
    assert len(person.opened) == 1


@pytest.mark.requirement("AS-05", "AS-01")
async def test_client_without_metadata_registers_signs_in_and_gets_tokens_at_the_default_endpoints(
    server: Running, browser: Browser
) -> None:
    async with server.client() as http:
        made = await http.post("/register", json={"redirect_uris": [CALLBACK], "client_name": "Without metadata"})
        assert made.status_code == 201, made.text
        client, pkce = OAuthClient(server, made.json()["client_id"]), Pkce.new()
        url = client.url(pkce, scope=None).replace("/oauth/authorize?", "/authorize?")
        assert "Sign in" in shown(await http.get(url))
        code = query_of(await browser.authorize(url))["code"]
        form = {"grant_type": "authorization_code", "client_id": client.client_id, "code": code}
        form |= {"redirect_uri": CALLBACK, "code_verifier": pkce.verifier}
        tokens = await http.post("/token", data=form)
        assert tokens.status_code == 200, tokens.text
        await client.close()


@pytest.mark.requirement("AS-05")
@pytest.mark.parametrize("name", ["authorize", "token", "register"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS", "HEAD"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://app.example"},
        {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        {"Sec-Fetch-Mode": "navigate"},
        {"Content-Type": "application/json"},
    ],
    ids=range(5),
)
async def test_default_endpoint_answers_as_the_documented_one(
    server: Running, name: str, method: str, headers: dict[str, str]
) -> None:
    async with server.client() as http:
        found = [
            await http.request(method, f"{path}?client_id=unknown", headers=headers, content=b"a=b")
            for path in (f"/oauth/{name}", f"/{name}")
        ]

    def told(reply: httpx2.Response) -> tuple[int, bytes, dict[str, str]]:
        varying = ("x-request-id", "date")
        return reply.status_code, reply.content, {k: v for k, v in reply.headers.items() if k not in varying}

    assert found[0].status_code != 404
    assert told(found[0]) == told(found[1])
