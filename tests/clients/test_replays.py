"""Clients that cannot be run here, replayed as they were recorded: each request, and the answer it must get."""

import asyncio
import json

import pytest

from tests.clients.recorded_agents import CLAUDE_CODE, CODEX
from tests.clients.recorded_editors import CURSOR, VS_CODE
from tests.clients.recorded_hosted import HOSTED
from tests.clients.recorded_paths import EARLY, FROM_A_BROWSER, WELL_KNOWN
from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.mcp_http import headers_for, message, token_for
from tests.support.proxy import TlsProxy
from tests.support.publisher import Publisher
from tests.support.replay import Recording, Replay
from tests.support.server import Running

PUBLIC = "https://mcp.example.com"
LOCAL = (CLAUDE_CODE, CODEX, VS_CODE, CURSOR, EARLY, WELL_KNOWN)


def named(recordings: tuple[Recording, ...]) -> list[object]:
    """The recordings as parameters, by the name of their client."""
    return [pytest.param(recording, id=recording.client) for recording in recordings]


@pytest.mark.requirement("AS-02", "AS-21", "AS-27", "AS-31", "AS-37", "RS-02", "RS-04", "RS-05", "TR-07", "TR-08")
@pytest.mark.parametrize("recording", named(LOCAL))
async def test_a_local_client_is_answered_step_by_step(
    recording: Recording, server: Running, browser: Browser, publisher: Publisher
) -> None:
    for url, members in recording.documents.items():
        publisher.publish(url, **members)
    async with server.client() as http:
        await Replay(http, browser, server.url).run(recording.steps)


@pytest.mark.requirement("TR-13", "attack-68")
async def test_a_client_in_a_page_of_this_computer_is_served_without_a_setting(make_server: MakeServer) -> None:
    async with make_server() as server, server.client() as http:
        await Replay(http, Browser(server.url), server.url).run(FROM_A_BROWSER.steps)


@pytest.mark.requirement("AS-02", "AS-06", "AS-21", "AS-25", "AS-27", "AS-29", "AS-37", "RS-15", "RS-21")
@pytest.mark.parametrize("recording", named(HOSTED))
async def test_a_hosted_client_is_answered_step_by_step(
    recording: Recording, make_server: MakeServer, publisher: Publisher
) -> None:
    for url, members in recording.documents.items():
        publisher.publish(url, **members)
    async with make_server(MCP_OAUTH_ISSUER=PUBLIC) as server:
        proxy = TlsProxy(server.port)
        async with proxy.client(PUBLIC) as http, proxy.client(PUBLIC) as jar:
            browser = Browser(PUBLIC, http=jar)
            await Replay(http, browser, PUBLIC).run(recording.steps)


@pytest.mark.requirement("TR-05", "RS-09")
async def test_blanks_after_a_header_s_value_are_no_part_of_it(server: Running) -> None:
    # RFC 9110 section 5.5. The conformance tool sends them; a client library would trim them here, so: by hand.
    token = await token_for(server, "mcp:read", audience=[f"{server.url}/mcp"])
    sent = headers_for("modern", "tools/list", token=token) | {
        "Host": f"localhost:{server.port}",
        "Connection": "close",
    }
    body = json.dumps(message("modern", "tools/list")).encode()
    lines = [f"{name}: \t{value} \t\r\n" for name, value in sent.items()]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"POST /mcp HTTP/1.1\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
    assert answer.count(b"inputSchema") == 6
