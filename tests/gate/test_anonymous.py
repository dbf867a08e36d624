"""MCP_OAUTH_REQUIRE_AUTH=false: callers without a token may read, and everything else is as with it."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.mcp_http import (
    ERAS,
    MODES,
    READ_TOOL,
    Era,
    answer,
    ask,
    call,
    challenge_of,
    client_ids,
    mcp_client,
    read,
    result,
    token_for,
)
from tests.support.server import Running

eras = pytest.mark.parametrize("era", ERAS)
REGISTER = "mcp_oauth_register_client"


@pytest.fixture
async def open_server(make_server: MakeServer) -> AsyncIterator[Running]:
    async with make_server(MCP_OAUTH_REQUIRE_AUTH="false") as found:
        yield found


@pytest.fixture
async def anybody(open_server: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_server.client() as found:
        yield found


@eras
@pytest.mark.requirement("RS-01", "RS-14")
async def test_reading_needs_no_token(anybody: httpx2.AsyncClient, era: Era) -> None:
    found = result(await call(anybody, era, READ_TOOL))
    assert not found.get("isError")
    me = result(await read(anybody, era, "oauth://me"))["contents"][0]["text"]
    assert '"sub": null' in me
    assert '"mcp:read"' in me
    assert "mcp:write" not in me
    test = await anybody.get("/oauth/test")
    assert (test.status_code, test.json()["authenticated"], test.json()["scope"]) == (200, False, "mcp:read")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.requirement("RS-01")
async def test_anonymous_callers_see_every_tool_and_resource(open_server: Running, mode: str) -> None:
    async with mcp_client(open_server, None, mode) as client:
        assert len(await client.list_tools()) == 6
        assert len(await client.list_resources()) == 11
        assert len(await client.list_resource_templates()) == 1


@eras
@pytest.mark.requirement("attack-61", "attack-66", "RS-06", "RS-14")
async def test_what_needs_more_is_401_with_the_scope_to_ask_for(
    open_server: Running, anybody: httpx2.AsyncClient, era: Era
) -> None:
    before = await client_ids(open_server)
    where = f"{open_server.url}/.well-known/oauth-protected-resource/mcp"
    write = await call(anybody, era, REGISTER, redirect_uris=["http://localhost/cb"])
    other = await call(anybody, era, "mcp_oauth_check_compliance", server_url="https://192.0.2.1")
    deeper = await call(anybody, era, "mcp_oauth_check_compliance", depth="active")
    admin = await read(anybody, era, "oauth://audit")
    for reply, needed in (
        (write, "mcp:write"),
        (other, "mcp:write"),
        (deeper, "mcp:admin"),
        (admin, "mcp:admin"),
    ):
        assert reply.status_code == 401
        assert challenge_of(reply) == {"resource_metadata": where, "scope": needed}
    assert await client_ids(open_server) == before


@eras
@pytest.mark.requirement("attack-63", "RS-13", "RS-23")
async def test_an_invalid_token_is_401_even_where_none_is_needed(
    open_server: Running, anybody: httpx2.AsyncClient, era: Era
) -> None:
    foreign = await token_for(open_server, "mcp:read", audience=["https://other.example"])
    for token in ("garbage", foreign):
        reply = await ask(anybody, era, "tools/list", token=token)
        assert (reply.status_code, challenge_of(reply)["error"]) == (401, "invalid_token")
    old = await token_for(open_server, "mcp:admin")
    assert (await ask(anybody, era, "tools/list", token=old)).status_code == 200
    open_server.clock.advance(3600)
    assert (await ask(anybody, era, "tools/list", token=old)).status_code == 401
    assert (await anybody.get("/oauth/test", headers={"Authorization": f"Bearer {old}"})).status_code == 401


@eras
@pytest.mark.requirement("attack-66", "RS-15")
async def test_a_token_still_counts_and_is_stepped_up_by_403(
    open_server: Running, anybody: httpx2.AsyncClient, era: Era
) -> None:
    reply = await call(anybody, era, REGISTER, await token_for(open_server, "mcp:read"))
    assert (reply.status_code, challenge_of(reply)["error"]) == (403, "insufficient_scope")
    held = await token_for(open_server, "mcp:admin")
    assert '"audit' not in (await read(anybody, era, "oauth://audit", held)).headers.get("www-authenticate", "")
    assert "contents" in result(await read(anybody, era, "oauth://audit", held))


@eras
@pytest.mark.requirement("RS-14")
async def test_undecodable_bodies_are_400_here_too(anybody: httpx2.AsyncClient, era: Era) -> None:
    reply = await anybody.post("/mcp", content=b"[]", headers={"Content-Type": "application/json"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32600)
    assert "error" not in answer(await ask(anybody, era, "tools/list"))
