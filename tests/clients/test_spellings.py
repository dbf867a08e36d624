"""Real MCP clients under the other names of the server: the loopback address, a trailing slash, the root resource."""

import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.mcp_clients import Era, Keychain, Kind, Person, connected, sdk_auth
from tests.support.server import Running

pytestmark = pytest.mark.filterwarnings("ignore:Using in-memory token storage")


@pytest.mark.requirement("RS-05", "RS-09")
async def test_loopback_address_is_as_good_as_localhost(kind: Kind, era: Era, server: Running, person: Person) -> None:
    address = f"http://127.0.0.1:{server.port}"
    async with connected(kind, era, f"{address}/mcp", person) as connection:
        await connection.tools()
        verdict = await connection.call("mcp_oauth_validate_token", token=connection.token.access_token)
    first = connection.auth.exchanges
    assert (
        f'resource_metadata="{address}/.well-known/oauth-protected-resource/mcp"' in first[0].answer["www-authenticate"]
    )
    # What the client learns about the resource has its own spelling; the issuer's endpoints have the issuer's.
    assert [sent.url for sent in first[:5]] == [
        f"{address}/mcp",
        f"{address}/.well-known/oauth-protected-resource/mcp",
        f"{server.url}/.well-known/oauth-authorization-server",
        f"{server.url}/oauth/register",
        f"{server.url}/oauth/token",
    ]
    assert person.asked[0]["resource"] == f"{address}/mcp"
    assert connection.sent("/oauth/token")[0].form["resource"] == f"{address}/mcp"
    assert verdict["claims"]["aud"] == [f"{server.url}/mcp"]


async def test_loopback_address_steps_up_and_refreshes(kind: Kind, era: Era, server: Running, person: Person) -> None:
    async with connected(kind, era, f"http://127.0.0.1:{server.port}/mcp", person) as connection:
        await connection.read("oauth://audit")
        server.clock.advance(3601)
        connection.expire()
        await connection.read("oauth://audit")
    assert [sent.status for sent in connection.sent("/oauth/token")] == [200, 200, 200]
    assert connection.sent("/oauth/token")[2].form["resource"] == f"http://127.0.0.1:{server.port}/mcp"
    assert len(person.opened) == 2


@pytest.mark.requirement("RS-21")
@pytest.mark.parametrize("url", ["http://LocalHost:{}/mcp", "http://localhost:{}/mcp/", "http://127.0.0.1:{}/mcp/"])
async def test_url_may_have_capitals_or_a_trailing_slash(
    url: str, kind: Kind, era: Era, server: Running, person: Person
) -> None:
    async with connected(kind, era, url.format(server.port), person) as connection:
        assert len(await connection.tools()) == 6
        await connection.read("oauth://audit")
    assert person.asked[0]["resource"] == url.format(server.port).lower().rstrip("/")
    assert connection.token.scope == "mcp:read mcp:write offline_access mcp:admin"


@pytest.mark.requirement("attack-67")
async def test_trailing_slash_behind_a_proxy_leads_to_the_endpoint_and_not_to_plain_http(
    make_server: MakeServer,
) -> None:
    async with make_server(MCP_OAUTH_ISSUER="https://mcp.example.com") as server:
        here = f"http://127.0.0.1:{server.port}"
        async with httpx2.AsyncClient(base_url=here, headers={"Host": "mcp.example.com"}) as http:
            plain = await http.post("/mcp/", json={})
            with_query = await http.post("/mcp/?a=b", json={})
    assert (plain.status_code, plain.headers["location"]) == (307, "/mcp")
    assert (with_query.status_code, with_query.headers["location"]) == (307, "/mcp?a=b")


@pytest.mark.requirement("RS-05", "RS-09", "AS-40")
@pytest.mark.parametrize("url", ["http://localhost:{}", "http://localhost:{}/", "http://127.0.0.1:{}"])
async def test_root_is_a_resource_whose_token_opens_the_endpoint_too(url: str, server: Running, person: Person) -> None:
    base = url.format(server.port)
    auth = sdk_auth(base, person, Keychain())
    async with httpx2.AsyncClient(auth=auth) as http:
        reply = await http.get(f"{base.rstrip('/')}/oauth/test")
    assert reply.status_code == 200, reply.text
    assert reply.json()["aud"] == server.url
    assert [(sent.method, sent.path, sent.status) for sent in auth.exchanges] == [
        ("GET", "/oauth/test", 401),
        ("GET", "/.well-known/oauth-protected-resource", 200),
        ("GET", "/.well-known/oauth-authorization-server", 200),
        ("POST", "/oauth/register", 201),
        ("POST", "/oauth/token", 200),
        ("GET", "/oauth/test", 200),
    ]
    assert person.asked[0]["resource"].rstrip("/") == base.rstrip("/")
    assert person.asked[0]["scope"] == "mcp:read offline_access"
    assert auth.context.current_tokens is not None
    keychain = Keychain()
    keychain.tokens = auth.context.current_tokens
    async with connected("sdk", "auto", f"{server.url}/mcp", person, keychain) as connection:
        assert len(await connection.tools()) == 6
    assert len(person.opened) == 1


@pytest.mark.requirement("RS-10", "attack-63")
async def test_token_of_the_endpoint_does_not_open_the_root_resource(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        token = connection.token.access_token
    async with server.client() as http:
        reply = await http.get("/oauth/test", headers={"Authorization": f"Bearer {token}"})
    assert reply.status_code == 401
    assert reply.json()["error"] == "invalid_token"
