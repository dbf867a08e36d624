"""Clock of the store: the time by which processes on several machines judge the same few seconds.

Machines whose clocks differ would disagree about a grace window of 30 seconds. The database is one for all of them, so
they go by its clock. The time that tokens and the audit log carry stays that of the process.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from oauth_server.core.clock import Clock
from oauth_server.core.told_once import ToldOnce
from oauth_server.store.store import Store
from oauth_server.store.verbs import meta

INTERVAL: Final = 10.0  # seconds from one comparison to the next
SMALL: Final = 1.0  # seconds of difference that do not count: the comparison takes some time itself
TOLD: Final = 5.0  # seconds of difference from which on the log says so
logger = logging.getLogger(__name__)


class StoreClock:
    """Gives the time by the database's clock, in Unix seconds: that of this process, and how far the other is ahead."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ahead = 0.0

    def __call__(self) -> float:
        """The time by the database's clock, as it was compared last."""
        return self._clock() + self._ahead

    async def compare(self) -> None:
        """Compare the database's clock with this machine's. Raises StoreUnavailableError, and nothing changes."""
        before = time.time()
        there = await self._store.read(meta.clock)
        after = time.time()
        ahead = there - (before + after) / 2
        ahead = ahead if abs(ahead) > max(SMALL, after - before) else 0.0
        if abs(ahead - self._ahead) > TOLD:
            logger.warning("the clock of the database is %+.0f s from this machine's", ahead)
        self._ahead = ahead

    async def run(self, *, sleep: Callable[[float], Awaitable[None]] = anyio.sleep) -> None:
        """Compare again and again, for ever; an unreachable store is waited for."""
        told = ToldOnce(logger, "the clock of the database cannot be read: %s")
        while True:
            await sleep(INTERVAL)
            with told.trial():
                await self.compare()
