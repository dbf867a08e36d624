"""Real MCP clients that register nothing: each is known by the metadata document it publishes."""

import pytest

from tests.support.mcp_clients import Era, Keychain, Kind, Person, connected
from tests.support.publisher import URL, Publisher
from tests.support.server import Running

pytestmark = pytest.mark.filterwarnings("ignore:Using in-memory token storage")


@pytest.mark.requirement("AS-07", "AS-09", "AS-12", "AS-20", "AS-23")
async def test_client_with_a_metadata_document_connects_refreshes_and_never_registers(
    kind: Kind, era: Era, server: Running, person: Person, publisher: Publisher
) -> None:
    publisher.publish(redirect_uris=["http://localhost/callback"])  # the port is free: each run listens on another
    keychain = Keychain()
    async with connected(kind, era, f"{server.url}/mcp", person, keychain, document=URL) as connection:
        assert len(await connection.tools()) == 6
        first = connection.token.access_token
        server.clock.advance(3601)
        connection.expire()
        assert len(await connection.tools()) == 6
        assert connection.token.access_token != first
    assert connection.sent("/oauth/register") == []
    assert {form["client_id"] for form in (sent.form for sent in connection.sent("/oauth/token"))} == {URL}
    assert [form["client_id"] for form in person.asked] == [URL]
    assert publisher.asked == {URL: 1}
