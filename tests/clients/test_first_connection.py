"""Real MCP clients from the first 401 to every tool and resource."""

import json
from typing import Any

import pytest

from tests.support.mcp_clients import CALLBACK, VERSIONS, Connection, Era, Keychain, Kind, Person, connected
from tests.support.oauth import DEFAULT_CLIENT
from tests.support.server import OWNER, Running

pytestmark = pytest.mark.filterwarnings("ignore:Using in-memory token storage")

TOOLS = {
    "mcp_oauth_protected_resource_metadata",
    "mcp_oauth_authorization_server_metadata",
    "mcp_oauth_validate_token",
    "mcp_oauth_get_configuration",
    "mcp_oauth_register_client",
    "mcp_oauth_check_compliance",
}
DOCUMENTS = {
    "oauth://protected-resource",
    "oauth://authorization-server",
    "oauth://openid-configuration",
    "oauth://jwks",
}
THE_CALLERS = {"oauth://me", "oauth://compliance", "ui://oauth/compliance.html"}
ADMINISTRATION = {"oauth://configuration", "oauth://clients", "oauth://grants", "oauth://audit"}
DISCOVERY = [
    ("POST", "/mcp", 401),
    ("GET", "/.well-known/oauth-protected-resource/mcp", 200),
    ("GET", "/.well-known/oauth-authorization-server", 200),
    ("POST", "/oauth/register", 201),
    ("POST", "/oauth/token", 200),
    ("POST", "/mcp", 200),
]


@pytest.mark.requirement("RS-02", "RS-04", "RS-06", "AS-02", "AS-21", "AS-23", "TR-16")
async def test_client_finds_its_own_way_from_401_to_a_token(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        assert await connection.tools() == TOOLS
        assert connection.version == VERSIONS[era]
    assert connection.trail[:6] == DISCOVERY
    assert len(person.opened) == 1
    granted = "mcp:read mcp:write offline_access"
    _check_registration(kind, connection, granted)
    (asked,) = person.asked
    client_id = connection.auth.context.client_info.client_id
    assert person.opened[0].startswith(f"{server.url}/oauth/authorize?")
    assert asked["resource"] == f"{server.url}/mcp"
    assert asked["scope"] == granted
    assert asked["client_id"] == client_id
    assert asked["code_challenge_method"] == "S256"
    (redeemed,) = connection.sent("/oauth/token")
    assert redeemed.url == f"{server.url}/oauth/token"
    form = redeemed.form
    assert form.keys() == {"grant_type", "code", "redirect_uri", "client_id", "code_verifier", "resource"}
    assert form["grant_type"] == "authorization_code"
    assert form["resource"] == f"{server.url}/mcp"
    assert form["client_id"] == client_id
    assert form["redirect_uri"] == asked["redirect_uri"]
    assert "authorization" not in redeemed.headers
    assert connection.token.scope == granted
    assert connection.token.refresh_token is not None


def _check_registration(kind: Kind, connection: Connection, scope: str) -> None:
    (sent,) = connection.sent("/oauth/register")
    assert sent.headers["content-type"] == "application/json"
    expected: dict[str, Any] = {
        "client_name": {"fastmcp": "FastMCP Client", "sdk": "SDK client"}[kind],
        "redirect_uris": [str(connection.auth.context.client_metadata.redirect_uris[0])],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
        "scope": scope,
    }
    if kind == "fastmcp":
        # FastMCP's client says that it is public; the SDK's leaves the method to the server.
        expected["token_endpoint_auth_method"] = "none"
    else:
        assert expected["redirect_uris"] == [CALLBACK]
    assert json.loads(sent.body) == expected
    registered = connection.auth.context.client_info
    assert registered.token_endpoint_auth_method == "none"
    assert registered.client_secret is None


@pytest.mark.requirement("RS-06", "RS-20", "attack-61")
async def test_first_answer_challenges_without_an_error_and_without_offline_access(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        pass
    refused = connection.auth.exchanges[0]
    assert refused.status == 401
    assert "authorization" not in refused.headers
    assert refused.answer["www-authenticate"] == (
        f'Bearer resource_metadata="{server.url}/.well-known/oauth-protected-resource/mcp", scope="mcp:read mcp:write"'
    )


async def test_every_later_request_carries_the_token_in_its_header_alone(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        await connection.tools()
        await connection.read("oauth://me")
    later = connection.sent("/mcp")[1:]
    assert len(later) >= 3
    for sent in later:
        assert sent.headers["authorization"] == f"Bearer {connection.token.access_token}"
        assert sent.url == f"{server.url}/mcp"
        assert connection.token.access_token.encode() not in sent.body


async def test_all_six_tools_answer(kind: Kind, era: Era, server: Running, person: Person) -> None:
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        resource = await connection.call("mcp_oauth_protected_resource_metadata")
        assert resource["resource"] == f"{server.url}/mcp"
        assert resource["authorization_servers"] == [server.url]
        metadata = await connection.call("mcp_oauth_authorization_server_metadata")
        assert metadata["issuer"] == server.url
        verdict = await connection.call(
            "mcp_oauth_validate_token", token=connection.token.access_token, required_scopes="mcp:write"
        )
        assert verdict["valid"] is True
        assert verdict["claims"]["aud"] == [f"{server.url}/mcp"]
        configuration = await connection.call("mcp_oauth_get_configuration")
        assert server.url in json.dumps(configuration)
        registered = await connection.call("mcp_oauth_register_client", redirect_uris=[CALLBACK], client_name="Another")
        assert await server.services.clients.find(registered["client_id"]) is not None
        report = await connection.call("mcp_oauth_check_compliance")
        assert len(report["checks"]) >= 20
        assert [check["id"] for check in report["checks"] if check["status"] in ("fail", "error")] == []
    assert len(person.opened) == 1


async def test_resources_are_read(kind: Kind, era: Era, server: Running, person: Person) -> None:
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        assert await connection.resources() == {*DOCUMENTS, *ADMINISTRATION, *THE_CALLERS}
        read = {uri: json.loads(await connection.read(uri)) for uri in sorted(DOCUMENTS)}
        me = json.loads(await connection.read("oauth://me"))
    assert read["oauth://protected-resource"]["resource"] == f"{server.url}/mcp"
    assert read["oauth://authorization-server"]["issuer"] == server.url
    assert read["oauth://openid-configuration"]["jwks_uri"] == f"{server.url}/.well-known/jwks.json"
    assert [key for key in read["oauth://jwks"]["keys"] if "d" in key] == []
    assert me["username"] == OWNER
    assert me["client_id"] == connection.auth.context.client_info.client_id
    assert me["scope"] == ["mcp:read", "mcp:write", "offline_access"]
    assert len(person.opened) == 1


async def test_preregistered_client_does_not_register(kind: Kind, era: Era, server: Running, person: Person) -> None:
    async with connected(kind, era, f"{server.url}/mcp", person, client_id=DEFAULT_CLIENT) as connection:
        assert await connection.tools() == TOOLS
    assert connection.sent("/oauth/register") == []
    assert person.asked[0]["client_id"] == DEFAULT_CLIENT


async def test_client_that_comes_back_with_its_tokens_asks_nobody(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    keychain = Keychain()
    async with connected(kind, era, f"{server.url}/mcp", person, keychain):
        pass
    async with connected(kind, era, f"{server.url}/mcp", person, keychain) as again:
        assert await again.tools() == TOOLS
    assert len(person.opened) == 1
    assert {path for _, path, _ in again.trail} == {"/mcp"}
