"""mcp-remote, the real one: stdio towards the local client, HTTP and the OAuth flow towards this server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest

from tests.support.mcp_clients import Person
from tests.support.npm import TEST_SECONDS, Npm
from tests.support.outside import audited
from tests.support.program import Program, call_tool, free_port, initialize, program
from tests.support.server import Running

pytestmark = pytest.mark.timeout(TEST_SECONDS)

AUTHORIZATION_URL = r"^(http://localhost:\d+/oauth/authorize\?\S+)$"


@asynccontextmanager
async def bridge(
    npm: Npm, env: dict[str, str], url: str, *options: str, person: Person | None = None
) -> AsyncIterator[tuple[Program, dict[str, Any]]]:
    """A running mcp-remote and its answer to `initialize`; a person does what it asks for, if one is given."""
    async with program(*npm.command("mcp-remote", url, *options), env=env) as stdio:
        await stdio.send(initialize())
        if person is not None:
            link = await stdio.said(AUTHORIZATION_URL)
            await person.open(link[1])
            async with httpx2.AsyncClient() as http:
                assert (await http.get(person.answer)).status_code == 200
        greeting = await stdio.answer()
        await stdio.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield stdio, greeting["result"]


async def tools(stdio: Program) -> set[str]:
    """The names of the tools."""
    await stdio.send({"jsonrpc": "2.0", "id": 3, "method": "tools/list"})
    return {tool["name"] for tool in (await stdio.answer())["result"]["tools"]}


def refreshes(server: Running) -> int:
    """How often a refresh token was used."""
    return len([row for row in audited(server) if row[0] == "token.refreshed"])


@pytest.mark.requirement("RS-02", "RS-04", "RS-06", "AS-02", "AS-21", "AS-23", "AS-27", "AS-36")
@pytest.mark.parametrize("protocol", ["legacy", "auto"])
async def test_mcp_remote_signs_in_calls_refreshes_and_needs_no_browser_again(
    protocol: str, npm: Npm, server: Running, person: Person, node_env: dict[str, str]
) -> None:
    url, options = f"{server.url}/mcp", (str(free_port()), "--protocol", protocol)
    async with bridge(npm, node_env, url, *options, person=person) as (stdio, greeting):
        assert greeting["serverInfo"]["name"] == "MCP Docker Server"
        assert len(await tools(stdio)) == 6
        assert (await call_tool(stdio, "mcp_oauth_get_configuration"))["settings"]
        assert refreshes(server) == 0
        server.clock.advance(3601)  # the client believes that its token still lives; a 401 tells it otherwise
        assert (await call_tool(stdio, "mcp_oauth_get_configuration"))["settings"]
        assert refreshes(server) == 1
        assert (await stdio.end(None)).status == 0
    async with bridge(npm, node_env, url, *options) as (again, _):
        assert len(await tools(again)) == 6
    (asked,) = person.asked
    assert asked["resource"] == url
    assert asked["scope"] == "mcp:read mcp:write offline_access"


@pytest.mark.requirement("RS-21", "AS-40")
@pytest.mark.parametrize(
    ("url", "options", "resource"),
    [
        ("http://localhost:{port}/mcp/", (), "http://localhost:{port}/mcp"),
        ("http://127.0.0.1:{port}/mcp", (), "http://127.0.0.1:{port}/mcp"),
        ("http://localhost:{port}/mcp", ("--resource", "http://LOCALHOST:{port}/"), "http://localhost:{port}/"),
    ],
    ids=["slash", "loopback-address", "resource-option"],
)
async def test_mcp_remote_connects_whatever_spelling_it_was_given(
    url: str,
    options: tuple[str, ...],
    resource: str,
    npm: Npm,
    server: Running,
    person: Person,
    node_env: dict[str, str],
) -> None:
    given = (str(free_port()), *(option.format(port=server.port) for option in options))
    async with bridge(npm, node_env, url.format(port=server.port), *given, person=person) as (stdio, _):
        assert len(await tools(stdio)) == 6
    assert person.asked[0]["resource"].lower() == resource.format(port=server.port)


async def test_mcp_remote_given_the_bare_origin_shows_where_the_endpoint_is(
    npm: Npm, server: Running, node_env: dict[str, str]
) -> None:
    async with program(*npm.command("mcp-remote", server.url, str(free_port())), env=node_env) as stdio:
        await stdio.send(initialize())
        await stdio.said(rf"The MCP endpoint is {server.url}/mcp")


@pytest.mark.requirement("AS-21")
@pytest.mark.parametrize("protocol", ["legacy", "auto"])
async def test_mcp_remote_with_a_stale_header_of_its_user_registers_and_signs_in(
    protocol: str, npm: Npm, server: Running, person: Person, node_env: dict[str, str]
) -> None:
    options = (str(free_port()), "--protocol", protocol, "--header", "Authorization:Bearer a-token-of-last-year")
    async with program(*npm.command("mcp-remote", f"{server.url}/mcp", *options), env=node_env) as stdio:
        await stdio.send(initialize())
        link = await stdio.said(AUTHORIZATION_URL)  # it has registered
        await person.open(link[1])
        async with httpx2.AsyncClient() as http:
            assert (await http.get(person.answer)).status_code == 200
        with anyio.fail_after(30):
            while ("code.redeemed", "success") not in [event[:2] for event in audited(server)]:  # noqa: ASYNC110
                await anyio.sleep(0.1)
    # What it does then is its own: it goes on to send the header of its user to /mcp, in the place of its token.
    assert [event[1] for event in audited(server) if event[0] == "client.registered"] == ["success"]
