"""The revocation filter: what has been revoked and has not expired, kept in memory so that verifying needs no store."""

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from oauth_server import metrics
from oauth_server.core.clock import Clock, SteadyClock, steady
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.records import Revocation
from oauth_server.store.store import Store
from oauth_server.store.verbs import revocations

POLL_SECONDS = 0.5
TRUSTED_SECONDS: Final = 60.0  # since the last look: later on nobody here knows what was revoked meanwhile
ACCESS_TOKEN_MAX = 86_400  # no access token lives longer, so no revocation needs to be remembered longer
STUCK_SECONDS: Final = 120.0  # since somebody began to look: far longer than a look can take
logger = logging.getLogger(__name__)

Entry = tuple[str, str]  # (kind, value)


class RevocationFilter:
    """A set of 64-bit hashes; a hit is only a suspicion, which the store confirms or clears.

    How long ago it was filled is told by a steady clock: neither a change of the time, nor a process that stood still,
    makes it look fresh. Entries are forgotten by that clock too.
    """

    def __init__(self, store: Store, clock: Clock, steady: SteadyClock = steady) -> None:
        self._store = store
        self._clock = clock
        self._steady = steady
        self._epoch = -1
        self._until: dict[int, float] = {}
        self._seen_at = self._looked_at = -math.inf
        self._listeners: list[Callable[[], None]] = []
        self._key_listeners: list[Callable[[], Awaitable[None]]] = []

    @property
    def age(self) -> float:
        """Seconds since the beginning of the last look that succeeded."""
        return self._steady() - self._seen_at

    @property
    def failure(self) -> str | None:
        """What is wrong where nobody even tries to look any more, so that only a new start of the process can help."""
        stands = self._steady() - self._looked_at > STUCK_SECONDS
        return "the revocations are not looked for any more" if stands else None

    def require_trust(self) -> None:
        """Raise StoreUnavailableError where the last look is so long ago that no token can be called good."""
        if self._steady() - self._seen_at > TRUSTED_SECONDS:
            raise StoreUnavailableError(f"the revocations were not read for {self.age:.0f} seconds")

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever another process, or this one, announced a change."""
        self._listeners.append(listener)

    def on_key_change(self, reload: Callable[[], Awaitable[None]]) -> None:
        """Await `reload` whenever another process, or this one, changed the signing keys."""
        self._key_listeners.append(reload)

    async def refresh(self) -> None:
        """Take in what was announced since the last look; returns with this process up to date."""
        known, began, now = self._epoch, self._steady(), self._clock()
        epoch, entries = await self._store.read(revocations.since, known, now)
        if epoch != known:
            await self._take_in(epoch, entries, began - now)
        self._seen_at = max(self._seen_at, began)
        metrics.REFRESHED.set(now)
        metrics.REVOCATIONS.set(len(self._until))

    async def _take_in(self, epoch: int, entries: list[Revocation], to_steady: float) -> None:
        if any(entry.kind == "keys" for entry in entries):
            for reload in self._key_listeners:
                await reload()
        # Only now: what could not be read is asked for again.
        for entry in entries:
            self._until[hash((entry.kind, entry.value))] = entry.expires_at + to_steady
        self._epoch = max(self._epoch, epoch)
        for listener in self._listeners:
            listener()

    async def poll(self) -> None:
        """Refresh twice a second, for ever; an unreachable store is waited for."""
        ticks, failing = 0, False
        while True:
            self._looked_at = self._steady()
            await anyio.sleep(POLL_SECONDS)
            try:
                await self.refresh()
                failing = False
            except Exception as error:
                if not failing:  # said once, not twice a second
                    told = isinstance(error, StoreUnavailableError)
                    logger.warning("the revocations cannot be read: %s", error, exc_info=None if told else error)
                failing = True
            ticks += 1
            if ticks % 120 == 0:
                self._forget_expired()

    def _forget_expired(self) -> None:
        now = self._steady()
        self._until = {key: until for key, until in self._until.items() if until > now}

    def suspects(self, entries: tuple[Entry, ...]) -> bool:
        """Whether any of these may be revoked; False is certain."""
        until = self._until
        return bool(until) and any(hash(entry) in until for entry in entries)

    async def confirmed(self, entries: tuple[Entry, ...], issued_at: float, grant_id: str | None = None) -> bool:
        """Ask the store whether any of these was revoked at or after `issued_at` (Unix seconds), or the grant ended."""
        # Other machines' clocks: one that is ahead issues tokens that seem younger than what ends them. What cannot
        # come back, a token or its grant, is therefore not judged by time.
        if grant_id is not None and await self._store.read(revocations.grant_ended, grant_id):
            return True
        found = await self._store.read(revocations.find, entries)
        # Tokens carry whole seconds, so one issued in the second of the revocation counts as older.
        return any(entry.kind == "token" or issued_at <= entry.revoked_at for entry in found)
