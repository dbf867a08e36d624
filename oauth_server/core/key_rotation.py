"""Changing the signing keys: made, rotated, retired, sealed; what is changed is recorded in the same commit."""

import logging
import math

import anyio.to_thread

from oauth_server.core.audit import event
from oauth_server.core.clock import Clock
from oauth_server.core.jwt import generate_pem, load_key
from oauth_server.core.key_sealing import Sealing
from oauth_server.core.keys import PUBLISHED_BEFORE, VERIFIES_AFTER, ListedKey, in_force, listed
from oauth_server.core.revocation import ACCESS_TOKEN_MAX
from oauth_server.core.settings import ENV_NAMES, Settings, SettingsError
from oauth_server.core.settings_rules import RefusedError
from oauth_server.store.records import AuditEvent, KeyUse, SigningKey
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit
from oauth_server.store.verbs import keys as verbs

logger = logging.getLogger(__name__)


class KeyRotation:
    """The keys of one store. Every server process takes a change in within a second."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self.sealing = Sealing(settings)
        self._store = store
        self._alg = settings.signing_alg
        self._clock = clock

    async def listed(self) -> list[ListedKey]:
        """The keys with their states, the newest first, without anything private."""
        return listed(await self._store.read(verbs.listed), self._alg, self._clock())

    async def check(self) -> None:
        """Refuse an encryption key that does not open what is stored; raises SettingsError."""
        for key in await self._store.read(verbs.listed):
            self.sealing.open(key)

    async def settle(self) -> None:
        """Store the private keys as the operator's encryption key says; raises SettingsError for one it does not open.

        Other processes hold them in memory, and go on.
        """
        for key in await self._store.read(verbs.listed):
            if not self.sealing.is_settled(key.kid, key.private_pem):
                sealed = self.sealing.seal(key.kid, self.sealing.open(key))
                happened = event(self._clock(), "key.encrypted", "success", detail=key.kid)
                if await self._store.write(
                    audit.recorded,
                    lambda done, told=happened: told if done else None,
                    verbs.replace_private,
                    key.kid,
                    key.private_pem,
                    sealed,
                ):
                    logger.info("the signing key %s is stored as %s says", key.kid, ENV_NAMES["key_encryption_key"])

    async def add_if_none(self, use: KeyUse) -> None:
        """Make the first key of a use; processes that start together agree on one."""
        fresh = self._new(use, await self._generate(use), wait=0)
        now = self._clock()
        happened = event(now, "key.created", "success", detail=f"{fresh.kid} for {use} tokens")
        await self._store.write(
            audit.recorded,
            lambda stored: happened if stored else None,
            verbs.add_if_none,
            fresh,
            now,
            now + ACCESS_TOKEN_MAX,
        )

    def algorithm(self, use: KeyUse) -> str:
        """The algorithm that keys of this use sign with."""
        return in_force(self._alg)[use]

    async def rotate(self, use: KeyUse, *, at_once: bool = False, pem: str | None = None) -> tuple[SigningKey, bool]:
        """Let a new key, or the operator's own (`pem`), succeed the one that signs, published long enough or at once.

        Returns the successor, and whether it is the new one: False is one that was published before. Raises
        SettingsError where the new key would be stored otherwise than the others, RefusedError for a known `pem`.
        """
        stored = await self._store.read(verbs.listed)
        await self.check()
        # A server that runs with another encryption key could not read the new one.
        if not all(self.sealing.is_settled(key.kid, key.private_pem) for key in stored):
            raise SettingsError(
                ENV_NAMES["key_encryption_key"],
                "says to store signing keys otherwise than the database has them",
                "a server that was started with it before",
            )
        why = "" if pem is None else ", of the operator's own"
        pem = pem or await self._generate(use)
        unless_after = math.inf if at_once else self._clock()
        return await self._succeed(use, pem, at_once=at_once, unless_after=unless_after, why=why)

    async def rotate_aged(self, use: KeyUse, age: float) -> None:
        """Rotate unless a key younger than `age` (seconds) signs or waits: of all processes that notice, one does."""
        await self.check()
        pem = await self._generate(use)
        await self._succeed(use, pem, at_once=False, unless_after=self._clock() - age, why=", by age")

    async def retire(self, kid: str) -> verbs.Retired:
        """End a key and all tokens it signed at once; see `verbs.retire` for the outcomes.

        One that the encryption key does not open may be the last: where that is lost, nothing else helps.
        """
        now = self._clock()
        unreadable = any(key.kid == kid and not self._opens(key) for key in await self._store.read(verbs.listed))

        def describe(outcome: verbs.Retired) -> AuditEvent | None:
            return event(now, "key.retired", "success", detail=kid) if outcome == "retired" else None

        return await self._store.write(
            audit.recorded,
            describe,
            verbs.retire,
            kid,
            in_force(self._alg),
            now,
            now + ACCESS_TOKEN_MAX,
            even_last=unreadable,
        )

    def _opens(self, key: SigningKey) -> bool:
        try:
            self.sealing.open(key)
        except SettingsError:
            return False
        return True

    async def remove_ended(self) -> None:
        """Remove the keys whose last token has expired."""
        now = self._clock()

        def describe(kids: list[str]) -> AuditEvent | None:
            return event(now, "key.ended", "success", detail=" ".join(kids)) if kids else None

        await self._store.write(
            audit.recorded, describe, verbs.remove_ended, now - VERIFIES_AFTER, now, now + ACCESS_TOKEN_MAX
        )

    async def _succeed(
        self, use: KeyUse, pem: str, *, at_once: bool, unless_after: float, why: str
    ) -> tuple[SigningKey, bool]:
        fresh = self._new(use, pem, wait=0 if at_once else PUBLISHED_BEFORE)
        now = self._clock()

        def describe(successor: SigningKey | None) -> AuditEvent | None:
            detail = f"{fresh.kid} for {use} tokens, {'at once' if at_once else f'in {PUBLISHED_BEFORE} s'}{why}"
            return event(now, "key.rotated", "success", detail=detail) if successor == fresh else None

        successor = await self._store.write(
            audit.recorded, describe, verbs.rotate, fresh, unless_after, now, now + ACCESS_TOKEN_MAX
        )
        if successor is None:
            raise RefusedError(f"holds the key {fresh.kid}, which is in the database already", "another key")
        return successor, successor == fresh

    async def _generate(self, use: KeyUse) -> str:
        return await anyio.to_thread.run_sync(generate_pem, self.algorithm(use))  # RSA takes a while

    def _new(self, use: KeyUse, pem: str, *, wait: float) -> SigningKey:
        alg, now = self.algorithm(use), self._clock()
        kid = load_key(pem, alg).kid
        return SigningKey(kid, use, alg, self.sealing.seal(kid, pem), now, now + wait)
