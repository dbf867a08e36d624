"""Real MCP clients after their access token has expired: they refresh, and nobody is asked again."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import MakeServer
from tests.support.mcp_clients import Era, Kind, Person, connected
from tests.support.server import Running

pytestmark = pytest.mark.filterwarnings("ignore:Using in-memory token storage")


@pytest.fixture
async def server(make_server: MakeServer) -> AsyncIterator[Running]:
    """A server whose access tokens live for one minute."""
    async with make_server(MCP_OAUTH_TOKEN_EXPIRY="60") as found:
        yield found


async def status_of(server: Running, token: str) -> int:
    """The status with which /mcp answers a POST under this token."""
    async with server.client() as http:
        reply = await http.post("/mcp", content=b"{}", headers={"Authorization": f"Bearer {token}"})
    return reply.status_code


@pytest.mark.requirement("AS-26", "AS-27", "regression-4")
async def test_client_refreshes_an_expired_token_and_asks_nobody(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        await connection.tools()
        first = connection.token
        assert first.expires_in == 60
        server.clock.advance(61)
        # The first answer comes from what was verified before, the second from a new verification.
        assert [await status_of(server, first.access_token) for _ in range(2)] == [401, 401]
        connection.expire()
        await connection.call("mcp_oauth_get_configuration")
        second = connection.token
    assert len(person.opened) == 1
    refreshed = connection.sent("/oauth/token")[-1]
    assert refreshed.status == 200
    assert refreshed.form == {
        "grant_type": "refresh_token",
        "refresh_token": first.refresh_token,
        "client_id": connection.auth.context.client_info.client_id,
        "resource": f"{server.url}/mcp",
    }
    assert second.access_token != first.access_token
    assert second.refresh_token not in (None, first.refresh_token)
    assert second.scope == first.scope == "mcp:read mcp:write offline_access"
    assert [status for _, path, status in connection.trail if path == "/mcp"].count(401) == 1


@pytest.mark.requirement("AS-27")
async def test_client_refreshes_as_often_as_it_needs_to(kind: Kind, era: Era, server: Running, person: Person) -> None:
    seen = set()
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        for _ in range(5):
            server.clock.advance(3600)
            connection.expire()
            await connection.read("oauth://me")
            seen.add(connection.token.refresh_token)
    assert len(seen) == 5
    assert len(person.opened) == 1
    assert [sent.status for sent in connection.sent("/oauth/token")] == [200] * 6


@pytest.mark.requirement("RS-13", "attack-63")
async def test_client_whose_clock_is_slow_is_told_by_a_401_and_signs_in_again(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        server.clock.advance(61)
        await connection.read("oauth://me")
    (refused,) = [sent for sent in connection.sent("/mcp")[1:] if sent.status == 401]
    assert 'error="invalid_token"' in refused.answer["www-authenticate"]
    assert len(person.opened) == 2
    assert len(connection.sent("/oauth/register")) == 1


async def test_client_whose_refresh_token_is_refused_signs_in_again(
    kind: Kind, era: Era, server: Running, person: Person
) -> None:
    async with connected(kind, era, f"{server.url}/mcp", person) as connection:
        async with server.client() as http:
            form = {"token": connection.token.refresh_token, "client_id": connection.auth.context.client_info.client_id}
            assert (await http.post("/oauth/revoke", data=form)).status_code == 200
        server.clock.advance(61)
        connection.expire()
        await connection.read("oauth://me")
    assert [sent.status for sent in connection.sent("/oauth/token")] == [200, 400, 200]
    assert len(person.opened) == 2
