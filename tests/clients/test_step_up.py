"""Real MCP clients step up: a 403 names the scope, the client asks the person again, and the call succeeds."""

import json

import pytest
from mcp.shared.exceptions import MCPError

from tests.support.mcp_clients import CALLBACK, Connection, Era, Exchange, Keychain, Kind, Person, connected
from tests.support.server import Running

pytestmark = pytest.mark.filterwarnings("ignore:Using in-memory token storage")


def refusals(connection: Connection) -> list[Exchange]:
    """The requests that were answered 403."""
    return [sent for sent in connection.auth.exchanges if sent.status == 403]


def challenge(server: Running, scope: str) -> str:
    """The WWW-Authenticate header of a step-up."""
    return (
        f'Bearer error="insufficient_scope", error_description="This operation needs the scope {scope}.", '
        f'resource_metadata="{server.url}/.well-known/oauth-protected-resource/mcp", scope="{scope}"'
    )


@pytest.mark.requirement("RS-15", "RS-16", "attack-66", "regression-6")
async def test_client_with_read_alone_gains_write_by_the_403(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    person.scopes = ["mcp:read"]
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        assert (await connection.call("mcp_oauth_get_configuration"))["settings"]
        assert connection.token.scope == "mcp:read"
        read_alone = connection.token.access_token
        person.scopes = None
        registered = await connection.call("mcp_oauth_register_client", redirect_uris=[CALLBACK])
        assert await server.services.clients.find(registered["client_id"]) is not None
    (refused,) = refusals(connection)
    assert refused.headers["authorization"] == f"Bearer {read_alone}"
    assert refused.answer["www-authenticate"] == challenge(server, "mcp:write")
    assert [asked["scope"] for asked in person.asked] == ["mcp:read mcp:write offline_access"] * 2
    assert connection.token.scope == "mcp:read mcp:write offline_access"
    assert len(connection.sent("/oauth/register")) == 1
    assert connection.trail[-2:] == [("POST", "/oauth/token", 200), ("POST", "/mcp", 200)]


@pytest.mark.requirement("RS-15", "RS-16", "attack-66")
async def test_client_gains_admin_by_the_403_and_keeps_what_it_had(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    person.scopes = ["mcp:read"]
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        person.scopes = None
        assert json.loads(await connection.read("oauth://clients"))["clients"]
        registered = await connection.call("mcp_oauth_register_client", redirect_uris=[CALLBACK])
        found = json.loads(await connection.read(f"oauth://clients/{registered['client_id']}"))
        assert found["redirect_uris"] == [CALLBACK]
        for uri in ("oauth://configuration", "oauth://grants", "oauth://audit"):
            assert json.loads(await connection.read(uri))
    (refused,) = refusals(connection)
    assert refused.answer["www-authenticate"] == challenge(server, "mcp:admin")
    assert person.asked[1]["scope"] == "mcp:read mcp:write offline_access mcp:admin"
    assert person.asked[1]["resource"] == f"{server.url}/mcp"
    assert connection.token.scope == "mcp:read mcp:write offline_access mcp:admin"


@pytest.mark.requirement("RS-17")
async def test_client_climbs_one_step_after_the_other(kind: Kind, era: Era, server: Running, person: Person) -> None:
    person.scopes = ["mcp:read"]
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        person.scopes = ["mcp:read", "mcp:write"]
        await connection.call("mcp_oauth_register_client", redirect_uris=[CALLBACK])
        assert connection.token.scope == "mcp:read mcp:write"
        person.scopes = ["mcp:read", "mcp:write", "mcp:admin"]
        await connection.read("oauth://audit")
        assert connection.token.scope == "mcp:read mcp:write mcp:admin"
    assert [sent.answer["www-authenticate"] for sent in refusals(connection)] == [
        challenge(server, "mcp:write"),
        challenge(server, "mcp:admin"),
    ]
    assert len(person.opened) == 3


async def test_person_who_refuses_the_step_leaves_the_call_refused_and_nothing_registered(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    person.scopes = ["mcp:read"]
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        before = {client.client_id for client in await server.services.clients.newest(100)}
        with pytest.raises(MCPError):
            await connection.call("mcp_oauth_register_client", redirect_uris=[CALLBACK])
        assert {client.client_id for client in await server.services.clients.newest(100)} == before
    assert len(person.opened) == 2
    assert [sent.status for sent in refusals(connection)] == [403, 403]


async def test_client_steps_up_with_tokens_it_kept_from_an_earlier_run(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    keychain = Keychain()
    person.scopes = ["mcp:read"]
    async with connected(kind, era, f"{server.url}/mcp", person, keychain):
        pass
    person.scopes = None
    async with connected(kind, era, f"{server.url}/mcp", person, keychain) as again:
        await again.read("oauth://audit")
    assert again.sent("/oauth/register") == []
    assert len(refusals(again)) == 1
    assert set(person.asked[1]["scope"].split()) == {"mcp:read", "mcp:admin", "offline_access"}
    assert again.token.scope == "mcp:read mcp:admin offline_access"
