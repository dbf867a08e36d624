"""The signing keys that one process works with: parsed once, changed by the clock and by what other processes do."""

import asyncio
import logging
import math
from collections.abc import Iterable
from typing import Final

import anyio

from oauth_server import metrics
from oauth_server.core.clock import Clock, steady
from oauth_server.core.jwt import Key, load_key
from oauth_server.core.jwt_parts import JwtError
from oauth_server.core.key_rotation import KeyRotation
from oauth_server.core.keys import VERIFIES_AFTER, Keys, alive, in_force, signer
from oauth_server.core.settings import ENV_NAMES, Settings, SettingsError
from oauth_server.core.told_once import ToldOnce
from oauth_server.store.records import KeyUse, SigningKey
from oauth_server.store.store import Store
from oauth_server.store.verbs import keys as verbs

TEND_SECONDS: Final = 1.0
SEEK_APART: Final = 0.25  # seconds from one look for an unknown key to the next, however many tokens name one
_DAY: Final = 86_400
logger = logging.getLogger(__name__)


class KeyRing:
    """Gives the keys as they stand now; makes, seals, rotates and removes keys when that is due."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self.rotation = KeyRotation(store, settings, clock)
        self._store = store
        self._clock = clock
        self._algorithms = in_force(settings.signing_alg)
        self._max_age = settings.key_rotation_days * _DAY
        self._reloading = anyio.Lock()
        self._seeking: asyncio.Task[None] | None = None  # the look that has not begun yet
        self._sought_at = -math.inf
        self._parsed: dict[str, Key] = {}
        self._unreadable: set[str] = set()
        self._unsigned: set[KeyUse] = set()
        self._stored: list[SigningKey] = []
        self._keys: Keys | None = None
        self._until = -math.inf  # when the keys stand otherwise, by the clock alone

    async def open(self) -> None:
        """Load the keys, making what is missing; raises SettingsError where a stored one cannot be read."""
        for key in await self._store.read(verbs.listed):
            self._load(key)
        await self.rotation.settle()
        await self.reload()

    def current(self) -> Keys:
        """The keys as they stand now; the same object until one of them begins to sign, stops, or leaves."""
        now = self._clock()
        if self._keys is None or now >= self._until:
            self._keys, self._until = self._standing(now)
        return self._keys

    async def reload(self) -> None:
        """Take in what the store has; a key that cannot be read signs and verifies nothing here, and is told once."""
        async with self._reloading:  # of two at once, the one that read first must not have the last word
            await self._take_in()

    async def _take_in(self) -> None:
        stored = await self._store.read(verbs.listed)
        missing = [use for use, alg in self._algorithms.items() if signer(stored, use, alg, self._clock()) is None]
        for use in missing:
            await self.rotation.add_if_none(use)
        if missing:
            stored = await self._store.read(verbs.listed)
        if stored != self._stored:
            self._stored, self._until = stored, -math.inf
            self._parsed = {key.kid: parsed for key in stored if (parsed := self._readable(key)) is not None}

    async def seek(self) -> None:
        """Look for keys that another process made, for a token that names an unknown one. Raises StoreUnavailableError.

        The look begins after this call, and whoever calls before it begins shares it.
        """
        if self._seeking is None:
            self._seeking = asyncio.create_task(self._look())
            self._seeking.add_done_callback(_retrieved)
        await asyncio.shield(self._seeking)

    async def _look(self) -> None:
        await anyio.sleep(max(0.0, self._sought_at + SEEK_APART - steady()))
        async with self._reloading:
            self._seeking, self._sought_at = None, steady()
            await self._take_in()

    async def tend(self) -> None:
        """Do each second what is due, for ever; what fails is told once, and tried again."""
        told = ToldOnce(logger, "the signing keys cannot be rotated: %s")
        while True:
            await anyio.sleep(TEND_SECONDS)
            with told.trial():
                await self.do_what_is_due()

    async def do_what_is_due(self) -> None:
        """Make a key where none signs any more, rotate those of age, remove those whose last token has expired."""
        now = self._clock()
        signing = {use: signer(self._stored, use, alg, now) for use, alg in self._algorithms.items()}
        for use, key in signing.items():
            if key is not None:
                metrics.SIGNS_SINCE.set(key.signs_from, use)
        aged = [use for use, key in signing.items() if key is not None and self._is_aged(key, now)]
        ended = len(alive(self._stored, now)) < len(self._stored)
        for use in aged:
            await self.rotation.rotate_aged(use, self._max_age)
        if ended:
            await self.rotation.remove_ended()
        if ended or aged or None in signing.values():
            await self.reload()

    def _is_aged(self, key: SigningKey, now: float) -> bool:
        """Whether a key is to be succeeded, and is not yet."""
        return 0 < self._max_age <= now - key.signs_from and key.stops_at is None

    def _load(self, key: SigningKey) -> Key:
        """Parse a stored key, once; raises SettingsError."""
        if key.kid not in self._parsed:
            try:
                self._parsed[key.kid] = load_key(self.rotation.sealing.open(key), key.alg)
            except JwtError as error:
                raise SettingsError(
                    ENV_NAMES["database_url"],
                    f"the signing key {key.kid} in it is damaged: {error.reason}",
                    "`keys rotate --now`, and `keys retire` of that key",
                ) from None
        return self._parsed[key.kid]

    def _readable(self, key: SigningKey) -> Key | None:
        try:
            return self._load(key)
        except SettingsError as error:
            if key.kid not in self._unreadable:
                logger.error("tokens of the signing key %s are refused here: %s", key.kid, error)  # noqa: TRY400
            self._unreadable.add(key.kid)
            return None

    def _standing(self, now: float) -> tuple[Keys, float]:
        readable = [key for key in self._stored if key.kid in self._parsed]
        living = alive(readable, now)
        signs = {
            use: signer(living, use, alg, now) or _newest(readable, use, alg) for use, alg in self._algorithms.items()
        }
        living += [key for key in signs.values() if key is not None and key not in living]
        self._tell_unsigned({use for use, key in signs.items() if key is None})
        loaded = [(key, self._parsed[key.kid]) for key in living]
        keys = Keys(loaded, {use: None if key is None else key.kid for use, key in signs.items()})
        moments = [moment for key in living for moment in (key.signs_from, key.stops_at) if moment is not None]
        moments += [key.stops_at + VERIFIES_AFTER for key in living if key.stops_at is not None]
        return keys, min((moment for moment in moments if moment > now), default=math.inf)

    def _tell_unsigned(self, uses: set[KeyUse]) -> None:
        for use in uses - self._unsigned:
            logger.error("no signing key for %s tokens can be read: none is issued here", use)
        self._unsigned = uses


def _retrieved(task: asyncio.Task[None]) -> None:
    """Let nobody be told of a failure that whoever asked has been told, or has gone without."""
    if not task.cancelled():
        task.exception()


def _newest(keys: Iterable[SigningKey], use: KeyUse, alg: str) -> SigningKey | None:
    """The last key of a use that signed, until another one is made."""
    own = (key for key in keys if (key.use, key.alg) == (use, alg))
    return max(own, key=lambda key: key.signs_from, default=None)
