"""Connections that send too little, too much, too slowly or too often, over raw sockets."""

import asyncio
import resource
import socket
import subprocess
import sys
from contextlib import AsyncExitStack

import pytest

from oauth_server.app import connections
from tests.support.program import ROOT
from tests.support.server import Running
from tests.support.wire import FORM, dial, head, impatient, said, works

pytestmark = pytest.mark.requirement("attack-26")


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (431, b"X: " + b"x" * 1_000_000 + b"\r\n\r\n"),
        (431, b"X: x\r\n" * 10_000 + b"\r\n"),
        (431, b"X: x\r\n" * 100 + b"\r\n"),  # the Host field is the one too many
        (431, b"".join(b"X%d: %s\r\n" % (n, b"x" * 2000) for n in range(20)) + b"\r\n"),
        (400, b"X: a\r\n b\r\n\r\n"),  # obs-fold (RFC 9112 section 5.2)
        (400, b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
        (400, b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        (400, b"X : y\r\n\r\n"),
        (431, b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 1_000_000),
        (431, b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: " + b"x" * 1_000_000),
        (431, b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + b"X: x\r\n" * 1000),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_too_large_or_not_http_is_refused_and_the_connection_closed(
    server: Running, lines: AsyncExitStack, status: int, sent: bytes
) -> None:
    answer = await said(server, lines, head(server, "POST /oauth/token") + FORM + sent)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert answer.count(b"HTTP/1.1") == 1
    assert b"connection: close" in answer
    assert b'"error": "invalid_request"' in answer
    assert await works(server)


@pytest.mark.parametrize(("status", "length"), [(414, 40_000), (414, 1_000_000), (400, 20_000)])
async def test_an_address_is_as_long_as_a_head_may_be(
    server: Running, lines: AsyncExitStack, status: int, length: int
) -> None:
    asked = head(server, f"GET /oauth/authorize?x={'x' * length}") + b"Connection: close\r\n\r\n"
    assert (await said(server, lines, asked)).startswith(b"HTTP/1.1 %d " % status)


async def test_a_trailer_passes_for_no_header_field(server: Running, lines: AsyncExitStack) -> None:
    async def asked(before: bytes, after: bytes) -> bytes:
        chunked = b"Transfer-Encoding: chunked\r\nConnection: close\r\n"
        request = head(server, "POST /oauth/test") + chunked + before + b"\r\n0\r\n" + after + b"\r\n"
        return await said(server, lines, request)

    field = b"Host: evil.example\r\n"
    assert (await asked(field, b"")).startswith(b"HTTP/1.1 400 ")  # two Host fields
    assert (await asked(b"", field)).startswith(b"HTTP/1.1 405 ")


SMUGGLED = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADES = [
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n",
    b"Connection: keep-alive\r\nConnection: uPgrade\r\nUpgrade: websocket\r\nUpgrade: x\r\n",
]


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("upgrade", UPGRADES)
async def test_a_request_for_another_protocol_is_an_ordinary_one_with_its_body(
    server: Running, lines: AsyncExitStack, upgrade: bytes, chunked: bool, apart: bool
) -> None:
    """RFC 9110 section 7.8: who does not upgrade ignores the field, and the body is no request."""
    body = b"grant_type=" + SMUGGLED
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    size = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(body)
    asks = head(server, "POST /oauth/token") + FORM + upgrade + size + b"\r\n"
    last = head(server) + b"Connection: close\r\n\r\n"
    found = await said(server, lines, *([asks, framed, last] if apart else [asks + framed + last]))
    assert found.count(b"HTTP/1.1 ") == 2
    assert found.startswith(b"HTTP/1.1 400 ")
    assert b"unsupported_grant_type" in found
    assert found.count(b"HTTP/1.1 200 ") == 1
    assert b'"keys"' not in found


async def test_what_comes_behind_a_request_for_another_protocol_is_answered(
    server: Running, lines: AsyncExitStack
) -> None:
    asks = b"".join(head(server) + upgrade + b"\r\n" for upgrade in UPGRADES)
    found = await said(server, lines, asks + head(server) + b"Connection: close\r\n\r\n")
    assert found.count(b"HTTP/1.1 200 ") == 3
    many = (head(server) + UPGRADES[0] + b"\r\n") * 400
    assert (await said(server, lines, many)).count(b"HTTP/1.1 ") < 400
    assert await works(server)


async def test_a_connect_is_refused_and_the_connection_closed(server: Running, lines: AsyncExitStack) -> None:
    for target in ("/mcp", "localhost:80"):
        asks = head(server, f"CONNECT {target}") + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED
        found = await said(server, lines, asks)
        assert found.count(b"HTTP/1.1 ") == 1
        assert found.startswith(b"HTTP/1.1 400 ")


async def test_a_few_pipelined_requests_are_answered_and_a_flood_of_them_is_not(
    server: Running, lines: AsyncExitStack
) -> None:
    one, last = head(server) + b"\r\n", head(server) + b"Connection: close\r\n\r\n"
    assert (await said(server, lines, one * 5 + last)).count(b"HTTP/1.1 200 OK") == 6
    assert await said(server, lines, one * 10_000) == b""
    assert await works(server)


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        (b"", b""),
        (b"HTTP/1.1 408 ", b"\r\n"),
        (b"HTTP/1.1 408 ", b"GET /healthz HTTP/1.1\r\nHost"),
        (
            b"HTTP/1.1 408 ",
            b"POST /oauth/token HTTP/1.1\r\nHost: localhost:{}\r\n%bContent-Length: 50\r\n\r\na=" % FORM,
        ),
        (
            b"HTTP/1.1 408 ",
            b"POST /oauth/token HTTP/1.1\r\nHost: localhost:{}\r\n%bTransfer-Encoding: chunked\r\n\r\n1" % FORM,
        ),
    ],
    ids=["silent", "an empty line", "half a head", "half a body", "half a chunk"],
)
async def test_whoever_does_not_bring_a_request_to_its_end_is_waited_for_so_long(
    server: Running, lines: AsyncExitStack, monkeypatch: pytest.MonkeyPatch, answer: bytes, sent: bytes
) -> None:
    impatient(monkeypatch)
    sent = sent.replace(b"{}", str(server.port).encode())
    found = await said(server, lines, sent) if sent else await said(server, lines)
    assert found.startswith(answer)
    assert bool(found) is bool(answer)
    assert await works(server)


async def test_a_byte_now_and_then_wins_no_time(
    server: Running, lines: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    for start in (head(server), head(server, "POST /oauth/token") + FORM + b"Content-Length: 5000\r\n\r\n"):
        reader, writer = await dial(server, lines)
        writer.write(start)

        async def trickle(writer: asyncio.StreamWriter = writer) -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        task = asyncio.create_task(trickle())
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 408 ")
        task.cancel()


async def test_a_kept_connection_is_waited_for_anew_with_each_request(
    server: Running, lines: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, 0.5)
    reader, writer = await dial(server, lines)
    for _ in range(4):
        writer.write(head(server) + b"\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b'{"status":"ok"}'), 10)).startswith(b"HTTP/1.1 200 OK")
        await asyncio.sleep(0.2)
    writer.write(b"\r\n")  # ends uvicorn's own wait for a next request, and begins none
    assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_whoever_does_not_take_the_answer_is_waited_for_so_long(
    server: Running, lines: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, 1)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
    lines.callback(writer.close)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    asked = head(server, "GET /.well-known/openid-configuration") + b"\r\n"

    async def ask_on() -> None:
        while True:  # more than the buffers of both systems take, which is some megabytes
            writer.write(asked * 8)
            await writer.drain()
            await asyncio.sleep(0.005)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(ask_on(), 60)
    assert await works(server)


async def test_at_the_bound_of_connections_the_one_waited_for_longest_makes_room(
    server: Running, lines: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = server.server._uvicorn
    assert state is not None
    silent = [await dial(server, lines) for _ in range(5)]
    assert await works(server)
    monkeypatch.setattr(connections._waiting[state.server_state], "most", 5)
    assert await works(server)
    assert await asyncio.wait_for(silent[0][0].read(), 10) == b""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(silent[-1][0].read(), 0.1)


def test_a_process_may_open_as_many_files_as_the_system_allows() -> None:
    code = (
        "import resource\n"
        "from oauth_server.app.waiting import max_connections, raise_file_limit\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))\n"
        "before = max_connections()\n"
        "raise_file_limit()\n"
        "print(before, resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard, max_connections() == hard - 128)\n"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 300
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["172", "True", "True"]


async def test_the_head_and_the_body_of_an_answer_arrive_together(server: Running) -> None:
    def pieces() -> set[bytes]:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            found = set()
            for _ in range(100):
                connection.sendall(head(server) + b"\r\n")
                found.add(connection.recv(65536).partition(b"\r\n\r\n")[2])
            return found

    assert await asyncio.to_thread(pieces) == {b'{"status":"ok"}'}


async def test_an_answer_that_is_a_head_alone_is_not_waited_for(server: Running, lines: AsyncExitStack) -> None:
    reader, writer = await dial(server, lines)
    for last in (b"", b"Connection: close\r\n"):
        writer.write(head(server, "HEAD /healthz") + last + b"\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert await asyncio.wait_for(reader.read(), 5) == b""
