"""FastMCP's client as it comes, with its own look at the authorization URL and its own callback listener."""

import asyncio
import webbrowser

import anyio
import fastmcp
import httpx2
import pytest
from fastmcp.client.auth import OAuth
from key_value.aio.stores.memory import MemoryStore
from mcp.shared.auth import OAuthClientInformationFull
from pydantic import AnyUrl

from tests.support.mcp_clients import CALLBACK, VERSIONS, Era, Person
from tests.support.server import Running

pytestmark = pytest.mark.filterwarnings("ignore:Using in-memory token storage")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, person: Person) -> list["asyncio.Task[int]"]:
    """What the system's browser was told to open: each a person who signs in, consents and lands at the client."""
    found: list[asyncio.Task[int]] = []

    async def follow(url: str) -> int:
        await person.open(url)
        async with httpx2.AsyncClient() as http:
            while True:  # the client starts to listen after it has opened the browser
                try:
                    return (await http.get(person.answer)).status_code
                except httpx2.ConnectError:
                    await anyio.sleep(0.02)

    monkeypatch.setattr(webbrowser, "open", lambda url: found.append(asyncio.create_task(follow(url))))
    return found


async def test_fastmcp_signs_in_through_its_own_listener(
    era: Era, server: Running, person: Person, opened: list["asyncio.Task[int]"]
) -> None:
    auth = OAuth(token_storage=MemoryStore(), callback_timeout=10)
    async with fastmcp.Client(f"{server.url}/mcp", auth=auth, mode=era) as client:
        assert len(await client.list_tools()) == 6
        assert client.protocol_version == VERSIONS[era]
    assert [await landed for landed in opened] == [200]
    assert person.asked[0]["redirect_uri"] == f"http://localhost:{auth.redirect_port}/callback"


@pytest.mark.requirement("AS-37")
async def test_fastmcp_whose_registration_is_gone_registers_again(
    era: Era, server: Running, person: Person, opened: list["asyncio.Task[int]"]
) -> None:
    auth = OAuth(f"{server.url}/mcp", token_storage=MemoryStore(), callback_timeout=10)
    gone = OAuthClientInformationFull(client_id="of-a-lost-database", redirect_uris=[AnyUrl(CALLBACK)])
    await auth.token_storage_adapter.set_client_info(gone)
    async with fastmcp.Client(f"{server.url}/mcp", auth=auth, mode=era) as client:
        assert len(await client.list_tools()) == 6
    assert [await landed for landed in opened] == [200]
    assert person.asked[0]["client_id"] != "of-a-lost-database"
