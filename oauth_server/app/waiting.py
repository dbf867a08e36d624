"""Connections that a server waits for: how long a request may take to arrive, and which connection makes room."""

import asyncio
import sys
from collections import OrderedDict
from typing import Final, Protocol

PATIENCE: Final = 30.0  # seconds for a request to arrive whole, and for an answer to be taken
SPARE_FILES: Final = 128  # descriptors for the store, outgoing requests and what Python opens
SWEEP: Final = 1.0  # seconds


class Waited(Protocol):
    """A connection, as far as it is waited for."""

    transport: asyncio.Transport

    def overdue(self) -> None:
        """End the connection: the patience with it has ended."""


class Waiting:
    """The connections of one server that keep it waiting or are idle, each kind in the order in which that began."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arriving: OrderedDict[Waited, float] = OrderedDict()  # since when, by the clock of the loop
        self._idle: OrderedDict[Waited, float] = OrderedDict()
        self._sweeping = False
        self.most = max_connections()

    def add(self, connection: Waited) -> None:
        """Begin to wait; a connection that is waited for already gets no more time."""
        self._idle.pop(connection, None)
        if connection not in self._arriving:
            self._arriving[connection] = self._loop.time()
            if not self._sweeping:
                self._sweeping = True
                self._loop.call_later(SWEEP, self._sweep)

    def rest(self, connection: Waited) -> None:
        """Wait no longer: the connection is idle, which its own timer ends."""
        self.remove(connection)
        self._idle[connection] = self._loop.time()

    def remove(self, connection: Waited) -> None:
        """Wait no longer: the connection is at work, or gone."""
        self._arriving.pop(connection, None)
        self._idle.pop(connection, None)

    def give_up_first(self) -> None:
        """Make room: end the connection that has kept waiting, or been idle, for longest."""
        kinds = [kind for kind in (self._arriving, self._idle) if kind]
        if kinds:
            oldest = min(kinds, key=lambda kind: next(iter(kind.values())))
            oldest.popitem(last=False)[0].transport.abort()

    def _sweep(self) -> None:
        # One timer for all, since a timer for each of 10,000 connections costs each request.
        now = self._loop.time()
        while self._arriving:
            connection, since = next(iter(self._arriving.items()))
            if since + PATIENCE > now:
                self._loop.call_later(SWEEP, self._sweep)
                return
            del self._arriving[connection]
            connection.overdue()
        self._sweeping = False


def raise_file_limit() -> None:
    """Let this process have as many connections open as the system allows it at all."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - Unix has it alone

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def max_connections() -> int:
    """How many connections one process keeps open: as many as it may have files, less what else it needs."""
    if sys.platform == "win32":
        return 10_000
    import resource  # noqa: PLC0415

    return max(SPARE_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)
