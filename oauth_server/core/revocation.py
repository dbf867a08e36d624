"""The revocation filter: what has been revoked and has not expired, kept in memory so that verifying needs no store."""

import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import anyio

from oauth_server import metrics
from oauth_server.core.clock import Clock, SteadyClock, steady
from oauth_server.core.expiring_set import ExpiringSet
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.records import Announced, Position, Revocation
from oauth_server.store.store import Store
from oauth_server.store.verbs import grants, revocations

POLL_SECONDS = 0.5
SPREAD_SECONDS: Final = 1.0  # what one process changes is known to every other by then
PAGE: Final = 2_000  # revocations in one look: they keep the event loop busy for some milliseconds
TRUSTED_SECONDS: Final = 60.0  # since the last look: later on nobody here knows what was revoked meanwhile
ACCESS_TOKEN_MAX = 86_400  # no access token lives longer, so no revocation needs to be remembered longer
SET_BACK: Final = 60.0  # seconds by which the clock may be set back: so much longer every entry is kept
STUCK_SECONDS: Final = 120.0  # since somebody began to look: far longer than a look can take
logger = logging.getLogger(__name__)

Entry = tuple[str, str]  # (kind, value)


class RevocationFilter:
    """A set of 64-bit hashes; a hit is only a suspicion, which the store confirms or clears.

    What the store does not know, although it announced it before, was lost by a failover. It is not forgotten here:
    it is refused as before, and announced again.

    Where there are more to read than one look takes in, as after a start, everything is suspect until they are read.
    All are read anew where the database lost some of those that were known, or the clock was set back.
    How long ago it was filled is told by a steady clock: neither a change of the time, nor a process that stood still,
    makes it look fresh. Entries are forgotten by that clock too.
    """

    def __init__(self, store: Store, clock: Clock, steady: SteadyClock = steady) -> None:
        self._store = store
        self._clock = clock
        self._steady = steady
        self._known = revocations.BEGINNING
        self._behind = True
        self._entries = ExpiringSet()
        self._ahead = -math.inf  # how far the clock was ahead of the steady one, at most, while entries were taken in
        self._lost_until = -math.inf  # what the database lost was announced before this time
        self._seen_at = self._looked_at = -math.inf
        self._listeners: list[Callable[[], None]] = []
        self._key_listeners: list[Callable[[], Awaitable[None]]] = []
        self._key_changes = self._key_changes_loaded = 0

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
        """Take in what was announced since the last look; afterwards nothing announced before it is overlooked."""
        began, now = self._steady(), self._clock()
        self._compare(now - began)
        known = self._known
        try:
            found = await self._store.read(revocations.since, known, now - SET_BACK, PAGE)
        except StoreUnavailableError:
            # The database that answers next may have lost commits, and made as many since: no number would tell.
            self._known, self._lost_until = revocations.BEGINNING, max(self._lost_until, now)
            self._key_changes += 1
            raise
        if found.known != known:
            self._take_in(known, found)
        await self._load_keys()
        self._seen_at = max(self._seen_at, began)
        metrics.REFRESHED.set(now)
        metrics.REVOCATIONS.set(len(self._entries))

    async def catch_up(self) -> None:
        """Look after a commit of this process, so that what it ended is refused here before that is answered.

        What is committed stands: where this fails, or takes too long, it is left to the poll, and spoils no answer.
        """
        with anyio.move_on_after(SPREAD_SECONDS), suppress(Exception):
            await self.refresh()

    def _compare(self, ahead: float) -> None:
        """Begin again where the clock was set back: entries would be forgotten before their tokens expire."""
        if ahead < self._ahead - SET_BACK:
            self._begin_again(f"the clock was set back by {self._ahead - ahead:.0f} s")
            self._ahead = ahead
        self._ahead = max(self._ahead, ahead)

    def _take_in(self, known: Position, found: Announced) -> None:
        if found.known < known:
            if self._known == known:  # else another look has noticed as well
                self._begin_again("the database is of an earlier state than a moment ago")
            return
        for kind, value, expires_at in found.entries:
            self._entries.add((kind, value), expires_at - self._ahead + SET_BACK)
        self._key_changes += any(kind == "keys" for kind, _, _ in found.entries)
        if self._known == known:  # else another look came further meanwhile
            self._known, self._behind = found.known, found.more
        self._tell()

    def _begin_again(self, reason: str) -> None:
        """Read everything anew; whatever else was kept in memory may be what the database does not know any more."""
        logger.warning("%s: all revocations are read anew", reason)
        self._known, self._behind = revocations.BEGINNING, True
        self._lost_until = max(self._lost_until, self._clock())
        self._key_changes += 1
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    async def _load_keys(self) -> None:
        # Last, since they keep no revocation back. What could not be read is asked for again by the next look; until
        # then none has succeeded.
        changes = self._key_changes
        if changes > self._key_changes_loaded:
            for reload in self._key_listeners:
                await reload()
            self._key_changes_loaded = max(self._key_changes_loaded, changes)

    async def poll(self) -> None:
        """Refresh twice a second, for ever; an unreachable store is waited for."""
        failing = False
        while True:
            self._looked_at = self._steady()
            await anyio.sleep(0 if self._behind and not failing else POLL_SECONDS)
            try:
                await self.refresh()
                failing = False
            except Exception as error:
                if not failing:  # said once, not twice a second
                    told = isinstance(error, StoreUnavailableError)
                    logger.warning("the revocations cannot be read: %s", error, exc_info=None if told else error)
                failing = True
            self._entries.forget(self._steady())

    def suspects(self, entries: tuple[Entry, ...]) -> bool:
        """Whether any of these may be revoked; False is certain."""
        return self._behind or self._entries.holds_any(entries)

    async def confirmed(self, entries: tuple[Entry, ...], issued_at: float, grant_id: str | None = None) -> bool:
        """Ask the store whether any of these was revoked at or after `issued_at` (Unix seconds), or the grant ended."""
        # Other machines' clocks: one that is ahead issues tokens that seem younger than what ends them. What cannot
        # come back, a token or its grant, is therefore not judged by time.
        if grant_id is not None and await self._store.read(revocations.grant_ended, grant_id):
            return True
        found = await self._store.read(revocations.find, entries)
        # Tokens carry whole seconds, so one issued in the second of the revocation counts as older.
        if any(entry.kind == "token" or issued_at <= entry.revoked_at for entry in found):
            return True
        return await self._lost(entries, found, issued_at)

    async def lost(self, entries: tuple[Entry, ...], issued_at: float) -> bool:
        """Whether any of these was revoked, as is known here and no more in the store, which lost it by a failover.

        To be asked of what rests on them and was issued at `issued_at` (Unix seconds), where the store calls it good.
        """
        if not self._entries.holds_any(entries):
            return False
        return await self._lost(entries, await self._store.read(revocations.find, entries), issued_at)

    async def _lost(self, entries: tuple[Entry, ...], stored: list[Revocation], issued_at: float) -> bool:
        there = {(entry.kind, entry.value) for entry in stored}
        lost = [entry for entry in entries if entry not in there and self._entries.holds_any((entry,))]
        for kind, value in lost:
            if kind in ("token", "grant"):
                await self._announce_again(kind, value)
        # Nothing but its hash is known of what was lost. Of a token or grant it counts for good, also where a lowered
        # ceiling had ended the access tokens alone: that was lost too. Of the others, it was before the loss was seen.
        return any(kind in ("token", "grant") or issued_at <= self._lost_until for kind, _ in lost)

    async def _announce_again(self, kind: str, value: str) -> None:
        logger.warning("the database lost the revocation of a %s: it is announced again", kind)
        now = self._clock()
        with suppress(StoreUnavailableError):  # it stays known here
            if kind == "grant":
                await self._store.write(grants.revoke_grant, value, now, now + ACCESS_TOKEN_MAX)
            else:
                await self._store.write(revocations.end, "token", [value], now + ACCESS_TOKEN_MAX)
