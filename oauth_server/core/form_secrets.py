"""Form secrets: the keys of CSRF tokens and of what known browsers keep, sealed like signing keys, and rotated.

One signs at a time. The one before is accepted for what it signed: for the life of a form, and for as long as a known
browser is remembered. Every process knows a new one before it signs.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import anyio

from oauth_server.core.audit import event
from oauth_server.core.clock import Clock, random_id, random_token
from oauth_server.core.key_sealing import Sealing
from oauth_server.core.revocation import ACCESS_TOKEN_MAX
from oauth_server.core.settings import Settings
from oauth_server.core.told_once import ToldOnce
from oauth_server.store.ages import CLOCK_SKEW
from oauth_server.store.records import AuditEvent, FormSecret
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit
from oauth_server.store.verbs import form_secrets as verbs

FORM_LIFETIME: Final = 3600  # seconds a form may stay open before it is submitted
KNOWN_FOR: Final = 365 * 24 * 3600  # seconds that a browser is known since the last sign-in
PUBLISHED_BEFORE: Final = 10  # seconds that a new one is known before it signs: other processes look twice a second
TEND_SECONDS: Final = 10.0
_DAY: Final = 86_400
logger = logging.getLogger(__name__)


class Secrets(Protocol):
    """The secrets as sessions and known browsers use them."""

    @property
    def signing(self) -> bytes:
        """The one that signs now."""

    def of_form(self, at: int) -> Sequence[bytes]:
        """Those that may have signed a form which was rendered then (Unix seconds)."""

    def kept(self) -> Sequence[bytes]:
        """All that may have signed what a known browser keeps, the newest first."""


@dataclass(frozen=True)
class _Opened:
    entry: FormSecret
    key: bytes


class FormSecrets:
    """The secrets of one store."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._sealing = Sealing(settings)
        self._clock = clock
        self._max_age = settings.key_rotation_days * _DAY
        self._opened: list[_Opened] = []
        self._stopped: set[str] = set()  # those of which it was seen that they stopped

    async def open(self) -> None:
        """Load them, after making what is missing and sealing what is not; one that does not open is replaced."""
        stored, now = await self._store.read(verbs.listed), self._clock()
        unreadable = [entry.secret_id for entry in stored if self._plain(entry) is None]
        if unreadable:
            logger.warning("%d secrets of forms cannot be read, and are replaced", len(unreadable))
            await self._store.write(verbs.remove, unreadable, now, now + ACCESS_TOKEN_MAX)

        def described(made: Sequence[FormSecret]) -> AuditEvent | None:
            detail = f"{made[-1].secret_id} for forms" if made else ""
            return event(now, "key.created", "success", detail=detail) if made else None

        await self._store.write(audit.recorded, described, verbs.begin, self._first, now, now + ACCESS_TOKEN_MAX)
        await self._seal()
        await self.reload()

    async def reload(self) -> None:
        """Take in what the store has."""
        entries = await self._store.read(verbs.listed)
        opened = [(entry, self._plain(entry)) for entry in entries]
        self._opened = [_Opened(entry, plain.encode()) for entry, plain in opened if plain is not None]

    @property
    def signing(self) -> bytes:
        """The one that signs now."""
        now = self._clock()
        return next((one.key for one in self._opened if one.entry.signs_from <= now), self._opened[-1].key)

    def of_form(self, at: int) -> list[bytes]:
        """Those that may have signed a form which was rendered then (Unix seconds)."""
        return [
            one.key for one in self._living() if one.entry.stops_at is None or at <= one.entry.stops_at + CLOCK_SKEW
        ]

    def kept(self) -> list[bytes]:
        """All that may have signed what a known browser keeps, the newest first."""
        return [one.key for one in self._living()]

    async def rotate(self, *, at_once: bool = False) -> tuple[FormSecret, bool]:
        """Let a new secret succeed the one that signs; the successor, and whether it is the new one.

        `at_once`: for one that another party may have. What it signed for known browsers ends with the forms that are
        open; such a browser is known again from its next sign-in on.
        """
        unless_after = math.inf if at_once else self._clock()
        return await self._succeed(unless_after, FORM_LIFETIME + CLOCK_SKEW if at_once else KNOWN_FOR, "")

    async def tend(self) -> None:
        """Do what is due, for ever; a failure is logged once and tried again."""
        told = ToldOnce(logger, "the secrets of forms cannot be rotated: %s")
        while True:
            await anyio.sleep(TEND_SECONDS)
            with told.trial():
                await self.do_what_is_due()

    async def do_what_is_due(self) -> None:
        """Rotate the secret where it is of age, remove those that ended."""
        now = self._clock()
        newest = self._opened[0].entry
        if 0 < self._max_age <= now - newest.signs_from:
            await self._succeed(now - self._max_age, KNOWN_FOR, ", by age")
        stopped = {one.entry.secret_id for one in self._opened if (one.entry.stops_at or now + 1) <= now}
        if stopped != self._stopped or len(self._living()) < len(self._opened):
            ended = await self._store.write(verbs.remove_ended, now, now + ACCESS_TOKEN_MAX)
            if ended:
                await self.reload()
            self._stopped = stopped.difference(ended)

    async def _succeed(self, unless_after: float, keep: float, why: str) -> tuple[FormSecret, bool]:
        now = self._clock()
        fresh = self._new(now + PUBLISHED_BEFORE)

        def described(successor: FormSecret) -> AuditEvent | None:
            detail = f"{fresh.secret_id} for forms, in {PUBLISHED_BEFORE} s{why}"
            return event(now, "key.rotated", "success", detail=detail) if successor == fresh else None

        successor = await self._store.write(
            audit.recorded,
            described,
            verbs.succeed,
            fresh,
            unless_after,
            fresh.signs_from + keep,
            now,
            now + ACCESS_TOKEN_MAX,
        )
        await self.reload()
        return successor, successor == fresh

    async def _seal(self) -> None:
        """Store them as the operator's encryption key says."""
        for entry in await self._store.read(verbs.listed):
            name, plain = _name(entry.secret_id), self._plain(entry)
            if plain is None or self._sealing.is_settled(name, entry.secret):
                continue
            happened = event(self._clock(), "key.encrypted", "success", detail=f"{entry.secret_id} for forms")
            await self._store.write(
                audit.recorded,
                lambda done, recorded=happened: recorded if done else None,
                verbs.replace,
                entry.secret_id,
                entry.secret,
                self._sealing.seal(name, plain),
            )

    def _first(self, plain: str | None) -> list[FormSecret]:
        """The first secret; after that of an earlier release, which may serve beside this one for a while."""
        now = self._clock()
        if plain is None:
            return [self._new(now)]
        name, stops_at = verbs.OF_EARLIER_RELEASES, now + FORM_LIFETIME
        sealed = self._sealing.seal(_name(name), plain)
        return [FormSecret(name, sealed, 0.0, stops_at, stops_at + KNOWN_FOR), self._new(stops_at)]

    def _new(self, signs_from: float) -> FormSecret:
        secret_id = random_id()
        return FormSecret(secret_id, self._sealing.seal(_name(secret_id), random_token()), signs_from)

    def _plain(self, entry: FormSecret) -> str | None:
        return self._sealing.opened(_name(entry.secret_id), entry.secret)

    def _living(self) -> list[_Opened]:
        now = self._clock()
        return [one for one in self._opened if one.entry.ends_at is None or one.entry.ends_at > now]


def _name(secret_id: str) -> str:
    """What a secret is sealed with, so that it opens in the place of no other one."""
    return f"form secret {secret_id}"
