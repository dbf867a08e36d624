"""Refused attempts that cost whoever sends them nothing: recorded, but never so many that they fill the log.

Of each kind and source ten in a minute are recorded one by one, sixty of each kind in all, by each process; how many
more there were is recorded once, when the minute is over. What an attempt changed, or what somebody must have signed in
for, is not counted here: that is always recorded, in its own commit.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from oauth_server.core.audit import EventName, caller_address, event
from oauth_server.core.clock import Clock
from oauth_server.core.limits import source_of
from oauth_server.core.rate_limits import caller_or_pages
from oauth_server.core.told_once import ToldOnce
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit

WINDOW: Final = 60.0  # seconds
FROM_SOURCE: Final = 10
IN_ALL: Final = 60
SEVERAL: Final = "several"  # the address of attempts that came from more than one
logger = logging.getLogger(__name__)


class Refusals:
    """Records refused attempts within the bounds; one for all services of a process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._began = clock()
        self._recorded: Counter[tuple[EventName, str]] = Counter()
        self._in_all: Counter[EventName] = Counter()
        self._more: dict[EventName, tuple[int, str]] = {}  # how many, and from where

    async def record(self, name: EventName, *, actor: str = "", client_id: str = "", detail: str = "") -> None:
        """Record a failure of this name from the current caller, or count it."""
        await self.tell_if_over()
        source, counted = source_of(caller_address.get()), (name, caller_or_pages())
        if self._recorded[counted] < FROM_SOURCE and self._in_all[name] < IN_ALL:
            self._recorded[counted] += 1
            self._in_all[name] += 1
            happened = event(self._clock(), name, "failure", actor=actor, client_id=client_id, detail=detail)
            await self._store.write(audit.append, happened)
        else:
            count, before = self._more.get(name, (0, source))
            self._more[name] = count + 1, source if source == before else SEVERAL

    async def tell_if_over(self) -> None:
        """Begin another minute if one is over."""
        if not 0 <= self._clock() - self._began < WINDOW:
            await self.tell()

    async def tell(self) -> None:
        """Record how many more there were in the minute that ends, and begin another."""
        now, more, seconds = self._clock(), self._more, self._clock() - self._began
        self._began, self._more = now, {}
        self._recorded.clear()
        self._in_all.clear()
        if more:
            told = (
                event(now, name, "failure", detail=f"{count} more within {seconds:.0f} s")._replace(address=source)
                for name, (count, source) in more.items()
            )
            await self._store.write(audit.append, *told)

    async def run(self, *, sleep: Callable[[float], Awaitable[None]] = anyio.sleep) -> None:
        """Tell each minute, for ever, so that what was counted is not told only when another attempt comes."""
        told = ToldOnce(logger, "refused attempts were not recorded: %s")
        while True:
            await sleep(WINDOW)
            with told.trial():
                await self.tell_if_over()
