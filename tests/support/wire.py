"""HTTP as bytes, over connections of a test's own."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from oauth_server.app import waiting
from tests.support.server import Running

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


def head(server: Running, first: str = "GET /healthz", version: str = "1.1") -> bytes:
    """The request line and the Host field."""
    return f"{first} HTTP/{version}\r\nHost: localhost:{server.port}\r\n".encode()


async def dial(server: Running, lines: AsyncExitStack) -> Line:
    """A connection, closed at the end of the test."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines.callback(writer.close)
    return reader, writer


async def said(server: Running, lines: AsyncExitStack, *sent: bytes) -> bytes:
    """All that the server answers until it closes the connection."""
    reader, writer = await dial(server, lines)
    try:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass  # it has heard enough
    found = b""
    try:
        while piece := await asyncio.wait_for(reader.read(65536), 10):
            found += piece
    except ConnectionError:
        pass
    return found


def impatient(monkeypatch: pytest.MonkeyPatch, patience: float = 0.3) -> None:
    """Wait for requests for so many seconds, instead of 30."""
    monkeypatch.setattr(waiting, "PATIENCE", patience)
    monkeypatch.setattr(waiting, "SWEEP", 0.05)


async def works(server: Running) -> bool:
    """Whether another client is served."""
    async with server.client() as http:
        return (await http.get("/healthz")).status_code == 200
