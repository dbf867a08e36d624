"""What stands between a server and its PostgreSQL when the network or the machine behind it fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

CHUNK = 65_536


class FaultProxy:
    """Hands bytes on to PostgreSQL, until a test makes it fail. `url` is what a server is given."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.{parse_qs(parts.query).get('port', ['5432'])[0]}"
        self._database = parts.path[1:]
        self._listener: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.delay = 0.0
        """Seconds that each packet takes."""
        self.cut_after = b""
        """Once the server sent this, PostgreSQL receives it, and the connection is gone before it answers."""
        self.connections = 0

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{self._database}"

    async def mend(self) -> None:
        """Undo whatever was made to fail."""
        self.delay, self.cut_after = 0.0, b""
        self.flow()
        if self._listener is not None and not self._listener.is_serving():
            await self.listen()

    async def listen(self) -> None:
        """Accept connections, after `refuse` on the same port."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """End every connection, and refuse new ones."""
        assert self._listener is not None
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """End every connection with a reset."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def swallow(self) -> None:
        """From now on accept everything and say nothing."""
        self._flowing.clear()

    def flow(self) -> None:
        """Undo `swallow`."""
        self._flowing.set()

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self.drop()
        for task in tuple(self._tasks):
            task.cancel()
            await asyncio.wait({task})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            with suppress(asyncio.CancelledError):  # by `close`; asyncio's streams would report it
                await self._hand_both_on(reader, writer)
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _hand_both_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        try:
            onward_reader, onward_writer = await asyncio.open_unix_connection(self._socket)
        except OSError:  # nobody listens
            writer.transport.abort()
            return
        self._writers.add(onward_writer)
        try:
            await asyncio.gather(
                self._hand_on(reader, onward_writer, True), self._hand_on(onward_reader, writer, False)
            )
        finally:
            self._writers.discard(onward_writer)

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, outgoing: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                cut = outgoing and self.cut_after and self.cut_after in data
                if cut:
                    self.cut_after = b""
                    self._flowing.clear()  # what it answers is not handed on
                writer.write(data)
                await writer.drain()
                if cut:
                    await asyncio.sleep(0.3)  # PostgreSQL has done it by then
                    self.drop()
                    self._flowing.set()
        writer.close()


@asynccontextmanager
async def fault_proxy(target: str) -> AsyncIterator[FaultProxy]:
    """Start one in front of a PostgreSQL, given by the URL of its socket."""
    found = FaultProxy(target)
    await found.listen()
    try:
        yield found
    finally:
        await found.close()
