"""Connections between two requests: how long they stay open, and which of them make room."""

import asyncio
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from oauth_server.app import connections
from oauth_server.core.settings import load
from tests.support.databases import Template
from tests.support.server import Running, running
from tests.support.wire import FORM, Line, dial, head, impatient, works

COMMON_PROXIES = 120  # seconds: Caddy's; nginx and AWS have 60, Go's transport and so Traefik 90
BEFORE = 5.5  # seconds: longer than connections lasted before this was a setting


async def asked(server: Running, line: Line) -> bytes:
    """The answer to a request over a connection that stays open."""
    line[1].write(head(server) + b"\r\n")
    return await asyncio.wait_for(line[0].readuntil(b'{"status":"ok"}'), 5)


async def ended(line: Line) -> float:
    """Seconds until the server closed the connection, without a word."""
    began = time.monotonic()
    assert await asyncio.wait_for(line[0].read(), 10) == b""
    return time.monotonic() - began


def test_an_idle_connection_outlasts_those_of_common_proxies() -> None:
    assert load({}).keep_alive > COMMON_PROXIES


async def test_an_idle_connection_stays_open(server: Running, lines: AsyncExitStack) -> None:
    line = await dial(server, lines)
    await asked(server, line)
    await asyncio.sleep(BEFORE)
    assert (await asked(server, line)).startswith(b"HTTP/1.1 200 OK")


async def test_the_setting_says_how_long(template: Template, tmp_path: Path, lines: AsyncExitStack) -> None:
    async with running(template, tmp_path, {"MCP_KEEP_ALIVE": "1"}) as server:
        line = await dial(server, lines)
        await asked(server, line)
        assert 0.8 < await ended(line) < 4


async def test_a_body_that_comes_after_its_answer_leaves_the_connection_open(
    server: Running, lines: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, 1.0)
    line = await dial(server, lines)
    line[1].write(head(server, "POST /mcp") + FORM + b"Content-Length: 5\r\n\r\n")
    refused = await asyncio.wait_for(line[0].readuntil(b"\r\n\r\n"), 5)
    assert refused.startswith(b"HTTP/1.1 401 ")
    line[1].write(b"hello")
    await asyncio.sleep(2)
    assert (await asked(server, line)).endswith(b'{"status":"ok"}')


async def test_at_the_bound_of_connections_the_one_idle_for_longest_makes_room(
    server: Running, lines: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = server.server._uvicorn
    assert state is not None
    idle = [await dial(server, lines) for _ in range(5)]
    for line in (*idle, idle[0]):
        await asked(server, line)
    monkeypatch.setattr(connections._waiting[state.server_state], "most", 5)
    assert await works(server)
    assert await ended(idle[1]) < 1
    assert (await asked(server, idle[0])).startswith(b"HTTP/1.1 200 OK")


async def test_a_client_that_takes_its_answer_late_is_waited_for_as_others_are(
    server: Running, lines: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = server.server._uvicorn
    assert state is not None
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    small.setblocking(False)
    lines.callback(small.close)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(small, ("127.0.0.1", server.port))
    await asyncio.sleep(0.05)
    (connection,) = [each for each in state.server_state.connections if each.client == small.getsockname()]
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2304)
    connection.transport.set_write_buffer_limits(high=1, low=0)
    asked = head(server, "GET /.well-known/openid-configuration") + b"\r\n"
    while not connection.flow.write_paused:
        await loop.sock_sendall(small, asked)
        await asyncio.sleep(0.05)
    impatient(monkeypatch, 1.0)
    await loop.sock_sendall(small, b"GET /healthz HTTP/1.1\r\n")  # and no more
    found = b""
    while piece := await asyncio.wait_for(loop.sock_recv(small, 65536), 5):
        found += piece
    assert found.count(b"HTTP/1.1 200 ") >= 1
    assert connection not in state.server_state.connections
