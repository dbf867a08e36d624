"""A server to be audited that takes its time, and counts what it is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class SlowTarget:
    """Answers every request with 404 after `delay` seconds; `asked` has the request lines, in order."""

    delay: float
    port: int = 0
    asked: list[str] = field(default_factory=list)
    given_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the other side leaves before it was answered."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/mcp"

    async def reached(self, count: int) -> None:
        """Wait until this many requests came in."""
        async with asyncio.timeout(30):
            while len(self.asked) < count:
                self._news.clear()
                await self._news.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split("\r\n")[0])
        self._news.set()
        gone = asyncio.create_task(_end_of(reader))
        await asyncio.wait({gone}, timeout=self.delay)
        if gone.done():
            self.given_up.set()
        gone.cancel()
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()


async def _end_of(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass


@asynccontextmanager
async def slow_target(delay: float = 0.2) -> AsyncIterator[SlowTarget]:
    """Start one on a free port."""
    found = SlowTarget(delay)
    listener = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = listener.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        listener.close()
