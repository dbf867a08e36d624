"""Housekeeping: rows that nobody can use any more leave the store, in small batches beside the traffic."""

import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
from sqlalchemy import Connection

from oauth_server.core.audit import event
from oauth_server.core.clock import Clock, SteadyClock, random_id, steady
from oauth_server.core.grants import CODE_LIFETIME
from oauth_server.core.revocation import ACCESS_TOKEN_MAX
from oauth_server.core.told_once import ToldOnce
from oauth_server.store.ages import CLOCK_SKEW
from oauth_server.store.records import AuditEvent
from oauth_server.store.retention import Retention
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, housekeeping, limits, registrations
from oauth_server.store.verbs.housekeeping import Batch

A = TypeVar("A")
T = TypeVar("T")

INTERVAL: Final = 60.0  # seconds from one round to the next, give or take a fifth
TURN: Final = 180.0  # seconds after which another process takes over from one that is gone
BATCH: Final = 200  # rows in one transaction
PAUSE: Final = 0.02  # seconds between two transactions, at least
YIELD: Final = 4  # times as long as the last transaction took: under load the rest waits
MARGIN: Final = 3600  # seconds: by then no request that still knew the row is under way, and no clock is so wrong
LEAP: Final = 60.0  # seconds by which the clock may be put right
REST: Final = 3600.0  # seconds without a deletion after it leapt forward: an operator has them to put it right

# What leaves, and how many seconds after its end. A grant is kept while an access token of it may live: until then a
# replay of its code, or a second use of a refresh token that was replaced, must still end those.
STEPS: Final[tuple[tuple[Batch[float, int], float], ...]] = (
    (housekeeping.ended_grants, ACCESS_TOKEN_MAX + MARGIN),
    # Soon, so that none comes alive again when the clock is set back.
    (housekeeping.unredeemed_codes, 2 * CLOCK_SKEW),
    (housekeeping.codes_of_the_future, -(CODE_LIFETIME + 2 * CLOCK_SKEW)),
    (housekeeping.ended_sessions, MARGIN),
    (housekeeping.past_revocations, MARGIN),
    (housekeeping.past_assertions, MARGIN),
    (housekeeping.ended_initial_access_tokens, MARGIN),
    (registrations.forget, registrations.FORGOTTEN_AFTER),
    (limits.forget, 0),
)
_DAY: Final = 86_400
logger = logging.getLogger(__name__)


class _NotNowError(Exception):
    """Another process keeps house, or the clock was set since the round began."""


class Housekeeping:
    """Keeps house for all processes on one store, one of them at a time.

    `audit_days` is how long security events are kept, 0 for ever.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        audit_days: int = 0,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        jitter: Callable[[float, float], float] = random.uniform,
        steady: SteadyClock = steady,
    ) -> None:
        self._store = store
        self._clock = clock
        self._steady = steady
        self._rests_until = -math.inf
        self._began_ahead = 0.0  # of the round
        self._sleep = sleep
        self._jitter = jitter
        self._owner = random_id()
        self._audit_days = audit_days
        self._after = b""  # the last document that was looked at

    async def run(self) -> None:
        """A round each minute, for ever; an unreachable store is waited for."""
        told, ahead = ToldOnce(logger, "expired rows cannot be deleted for now: %s"), self._ahead()
        while True:
            await self._sleep(INTERVAL * self._jitter(0.8, 1.2))
            before, ahead = ahead, self._ahead()
            self._notice(ahead - before)
            if self._steady() < self._rests_until:
                continue
            with told.trial():  # the server serves without it, and the next round may succeed
                await self.round()

    def _ahead(self) -> float:
        """How far the time is ahead of the clock that nobody sets: the same for ever, unless somebody sets the time."""
        return self._clock() - self._steady()

    def _notice(self, leap: float) -> None:
        """After a leap forward nothing is deleted for a while: what a wrong clock calls ended may not be."""
        if leap > LEAP:
            logger.warning("the clock leapt %.0f s forward: no expired row is deleted for an hour", leap)
            self._rests_until = self._steady() + REST
        elif leap < -LEAP:
            logger.warning("the clock was set back by %.0f s", -leap)
            self._rests_until = -math.inf

    async def round(self) -> int:
        """Delete whatever may leave by now; how many rows, 0 while another process keeps house.

        It ends where the clock is set meanwhile.
        Raises StoreUnavailableError; what left before stays away.
        """
        total, self._began_ahead = 0, self._ahead()
        waiting = [*STEPS]
        if self._audit_days:
            waiting.append((audit.past_events, self._audit_days * _DAY))
        try:
            now = self._now()
            await self._transact(self._record_retention, now, now)
            while waiting:
                for step in tuple(waiting):  # in turn, so that much of one kind keeps no other kind waiting
                    verb, age = step
                    now = self._now()
                    removed = await self._transact(verb, now - age, now)
                    total += removed
                    if not removed:
                        waiting.remove(step)
            # One page in each round: whether a document is referred to can only be found by looking.
            removed, self._after = await self._transact(housekeeping.unreferenced_documents, self._after, self._now())
            total += removed
        except _NotNowError:
            return total
        if total:
            logger.debug("%d expired rows deleted", total)
        return total

    def _record_retention(self, connection: Connection, now: float, _limit: int) -> bool:
        """Write into the audit log for how long it is kept, long before the event that says so may leave; a batch."""

        def describe(known: tuple[float, Retention] | None) -> AuditEvent | None:
            said = None if known is None else known[1].days
            if known is not None and said == self._audit_days and (not said or now - known[0] < said * _DAY / 2):
                return None
            return event(now, "audit.retention", "success", detail=str(Retention(self._audit_days, said)))

        audit.recorded(connection, describe, audit.retention)
        return True

    def _now(self) -> float:
        """The time, by which a batch is chosen. Raises _NotNowError where the clock leapt since the round began."""
        now = self._clock()
        if abs(now - self._steady() - self._began_ahead) > LEAP:
            raise _NotNowError
        return now

    async def _transact(self, verb: Batch[A, T], start: A, now: float) -> T:
        """Run one batch if it is this process's turn, then pause. Raises _NotNowError."""
        started = time.monotonic()
        answer = await self._store.write(housekeeping.in_turn, self._owner, now, TURN, verb, start, BATCH)
        if answer is None:
            raise _NotNowError
        await self._sleep(max(PAUSE, YIELD * (time.monotonic() - started)))
        return answer
