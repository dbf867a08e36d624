"""What a client reads that is refused while it still sends (RFC 9112 section 9.6): the answer, whatever it had sent."""

import asyncio
import http.client
import socket
from contextlib import AsyncExitStack

import pytest

from oauth_server.app import connections
from oauth_server.gate.gate import MAX_BODY
from tests.support.server import Running
from tests.support.wire import FORM, dial, head, impatient, works

MEBIBYTE = 1024 * 1024


async def blocking(server: Running, *sent: bytes) -> bytes:
    """What a client reads that sends all first, and fails where it cannot: as most do."""

    def talk() -> bytes:
        found = b""
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            for piece in sent:
                connection.sendall(piece)
            while piece := connection.recv(65536):
                found += piece
        return found

    return await asyncio.to_thread(talk)


@pytest.mark.parametrize(
    ("status", "first", "rest"),
    [
        (431, "GET /healthz", b"X: " + b"x" * MEBIBYTE + b"\r\n\r\n"),
        (431, "GET /healthz", b"X: x\r\n" * (MEBIBYTE // 6) + b"\r\n"),
        (414, "GET /healthz?" + "x" * MEBIBYTE, b"\r\n"),
        (400, "GET /healthz", b"X : y\r\n" + b"X: x\r\n" * (MEBIBYTE // 6) + b"\r\n"),
        (400, "POST /oauth/token", b"Transfer-Encoding: chunked\r\n\r\nno size\r\n" + b"x" * MEBIBYTE),
        (
            413,
            "POST /oauth/token",
            FORM + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % MEBIBYTE + b"x" * MEBIBYTE,
        ),
        (401, "POST /mcp", b"Connection: close\r\nContent-Length: %d\r\n\r\n" % MEBIBYTE + b"x" * MEBIBYTE),
        (405, "POST /healthz", b"Connection: close\r\nContent-Length: %d\r\n\r\n" % MEBIBYTE + b"x" * MEBIBYTE),
    ],
    ids=["one field", "many fields", "address", "no field", "no chunk", "form", "no token", "method"],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_client_that_sends_a_mebibyte_reads_why_it_was_refused(
    server: Running, status: int, first: str, rest: bytes, version: str
) -> None:
    found = await blocking(server, head(server, first, version), rest)
    assert found.startswith(b"HTTP/1.1 %d " % status), found[:200]
    assert found.count(b"HTTP/1.1 ") == 1
    assert await works(server)


async def test_an_http_library_reads_it(server: Running) -> None:
    def status() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/healthz", headers={"X": "x" * MEBIBYTE})
        found = connection.getresponse().status
        connection.close()
        return found

    assert await asyncio.to_thread(status) == 431


async def test_a_body_of_several_mebibytes_is_refused_in_words(server: Running) -> None:
    size = MAX_BODY + MEBIBYTE
    asks = head(server, "POST /oauth/register") + b"Content-Type: application/json\r\nConnection: close\r\n"
    found = await blocking(server, asks + b"Content-Length: %d\r\n\r\n" % size, b"x" * size)
    assert found.startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_was_too_slow_reads_so_while_it_goes_on(
    server: Running, lines: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    reader, writer = await dial(server, lines)
    writer.write(head(server, "POST /oauth/token") + FORM + b"Content-Length: 5000\r\n\r\na=")
    first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert first.startswith(b"HTTP/1.1 408 ")
    for _ in range(16):
        writer.write(b"x" * 65536)
        await writer.drain()
        await asyncio.sleep(0.01)
    assert b"invalid_request" in await asyncio.wait_for(reader.read(), 5)


async def test_what_comes_after_a_refusal_is_read_within_bounds(
    server: Running, lines: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = head(server) + b"X : y\r\n\r\n"
    _, writer = await dial(server, lines)
    writer.write(broken)

    async def send_on() -> None:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_on(), 20)
    monkeypatch.setattr(connections, "LINGER", 0.3)
    reader, writer = await dial(server, lines)
    writer.write(broken)
    await asyncio.wait_for(reader.read(), 5)  # the end of the answer, and the client's side stays open
    await asyncio.sleep(0.6)
    state = server.server._uvicorn
    assert state is not None
    assert not [each for each in state.server_state.connections if each.client == writer.get_extra_info("sockname")]


async def test_no_request_behind_a_refused_one_is_served(server: Running) -> None:
    asks = head(server) + b"X : y\r\n\r\n" + head(server) + b"Connection: close\r\n\r\n"
    found = await blocking(server, asks, head(server) + b"\r\n")
    assert found.count(b"HTTP/1.1 ") == 1
