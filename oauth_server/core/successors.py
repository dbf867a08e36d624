"""Sealed successors of refresh tokens: deleted as soon as the grace window of the token that opens them is over.

Source: RFC 9700 section 4.14.2. A replaced token and a copy of the database must not lead to the live token.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from oauth_server.core.clock import Clock
from oauth_server.core.told_once import ToldOnce
from oauth_server.store.ages import CLOCK_SKEW
from oauth_server.store.store import Store
from oauth_server.store.verbs import successors

INTERVAL: Final = 3.0  # seconds from one look to the next
BATCH: Final = 200  # rows in one transaction
PAUSE: Final = 0.02  # seconds between two transactions
logger = logging.getLogger(__name__)


class SealedSuccessors:
    """Sweeper of all processes on one store: any of them may delete what ended, also before it was started.

    `clock` is the one by which the window is judged, `grace` its length in seconds.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        grace: float,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._store = store
        self._clock = clock
        self._grace = grace
        self._sleep = sleep
        self._scrubbed = False

    async def run(self) -> None:
        """Sweep at once and every few seconds, for ever; an unreachable store is waited for."""
        told = ToldOnce(logger, "sealed successors of refresh tokens cannot be deleted for now: %s")
        while True:
            with told.trial():
                await self.sweep()
            await self._sleep(INTERVAL)

    async def sweep(self) -> int:
        """Delete what ended; how many there were. Raises StoreUnavailableError."""
        total = 0
        self._scrubbed &= not await self._store.read(successors.any_sealed)
        while await self._store.read(successors.any_ended, *self._ended()):
            removed = await self._store.write(successors.forget, *self._ended(), BATCH)
            total += removed
            if not removed:  # a request holds the rest
                break
            await self._sleep(PAUSE)
        # Not before the last one has left: a busy server overwrites its log all the time.
        if not self._scrubbed and not await self._store.read(successors.any_sealed):
            self._scrubbed = await self._store.scrub()
        return total

    def _ended(self) -> tuple[float, float]:
        now = self._clock()
        return now - self._grace, now + CLOCK_SKEW
