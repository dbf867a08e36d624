"""A server of a few lines on a port of its own, for what no real server would answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

Answers = Callable[[str], str | None]
"""Takes a path, returns the whole answer; None: never answers."""


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[str]:
    """Answer every request; the URL of the server."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            found = answers(head.split(b" ")[1].decode())
            if found is None:
                await reader.read()  # until the other side is gone
            else:
                writer.write(found.encode())
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as found:
        yield f"http://127.0.0.1:{found.sockets[0].getsockname()[1]}"
