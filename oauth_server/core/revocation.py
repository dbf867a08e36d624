"""The revocation filter: what has been revoked and has not expired, kept in memory so that verifying needs no store."""

import logging
from collections.abc import Awaitable, Callable

import anyio

from oauth_server import metrics
from oauth_server.core.clock import Clock
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.store import Store
from oauth_server.store.verbs import revocations

POLL_SECONDS = 0.5
ACCESS_TOKEN_MAX = 86_400  # no access token lives longer, so no revocation needs to be remembered longer
logger = logging.getLogger(__name__)

Entry = tuple[str, str]  # (kind, value)


class RevocationFilter:
    """A set of 64-bit hashes; a hit is only a suspicion, which the store confirms or clears."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._epoch = -1
        self._until: dict[int, float] = {}
        self._listeners: list[Callable[[], None]] = []
        self._key_listeners: list[Callable[[], Awaitable[None]]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever another process, or this one, announced a change."""
        self._listeners.append(listener)

    def on_key_change(self, reload: Callable[[], Awaitable[None]]) -> None:
        """Await `reload` whenever another process, or this one, changed the signing keys."""
        self._key_listeners.append(reload)

    async def refresh(self) -> None:
        """Take in what was announced since the last look; returns with this process up to date."""
        known = self._epoch
        epoch, entries = await self._store.read(revocations.since, known, self._clock())
        metrics.REFRESHED.set(self._clock())
        metrics.REVOCATIONS.set(len(self._until))
        if epoch == known:
            return
        if any(entry.kind == "keys" for entry in entries):
            for reload in self._key_listeners:
                await reload()
        # Only now: what could not be read is asked for again.
        for entry in entries:
            self._until[hash((entry.kind, entry.value))] = entry.expires_at
        self._epoch = max(self._epoch, epoch)
        for listener in self._listeners:
            listener()

    async def poll(self) -> None:
        """Refresh twice a second, for ever; an unreachable store is waited for."""
        ticks, reachable = 0, True
        while True:
            await anyio.sleep(POLL_SECONDS)
            try:
                await self.refresh()
                reachable = True
            except StoreUnavailableError as error:
                if reachable:  # said once, not twice a second
                    logger.warning("the revocations cannot be read: %s", error)
                reachable = False
            ticks += 1
            if ticks % 120 == 0:
                self._forget_expired()

    def _forget_expired(self) -> None:
        now = self._clock()
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
