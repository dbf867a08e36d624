"""A loopback server that says exactly the bytes it is told to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Wire:
    """A server on 127.0.0.1: its port, and every request head it received."""

    port: int = 0
    heads: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return the address of its root."""
        return f"http://127.0.0.1:{self.port}/"


Serve = Callable[..., AbstractAsyncContextManager[Wire]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def serve() -> Serve:
    """Return a context manager that serves `handler` (or fixed bytes) on a free loopback port."""

    @asynccontextmanager
    async def serving(answer: Handler | bytes, **options: object) -> AsyncIterator[Wire]:
        wire = Wire()
        tasks = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.current_task())
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                wire.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(writer)
                await writer.drain()
            with suppress(ConnectionError):
                writer.close()
                await writer.wait_closed()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, **options)  # type: ignore[arg-type]
        wire.port = server.sockets[0].getsockname()[1]
        try:
            yield wire
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return serving
