"""Changing the signing keys: made, rotated, retired, sealed; what is changed is recorded in the same commit."""

import math

import anyio.to_thread

from oauth_server.core.audit import event
from oauth_server.core.clock import Clock
from oauth_server.core.jwt import generate_pem, load_key
from oauth_server.core.key_sealing import Sealing, is_sealed
from oauth_server.core.keys import PUBLISHED_BEFORE, VERIFIES_AFTER, ListedKey, in_force, listed
from oauth_server.core.revocation import ACCESS_TOKEN_MAX
from oauth_server.core.settings import ENV_NAMES, Settings, SettingsError
from oauth_server.store.records import AuditEvent, KeyUse, SigningKey
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit
from oauth_server.store.verbs import keys as verbs


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

    async def seal_plain(self) -> None:
        """Encrypt what is stored in the clear, where the operator gave a key for that."""
        for key in await self._store.read(verbs.listed):
            if self.sealing.on and not is_sealed(key):
                sealed = self.sealing.seal(key.kid, key.private_pem)
                happened = event(self._clock(), "key.encrypted", "success", detail=key.kid)
                await self._store.write(
                    audit.recorded,
                    lambda done, told=happened: told if done else None,
                    verbs.replace_private,
                    key.kid,
                    key.private_pem,
                    sealed,
                )

    async def add_if_none(self, use: KeyUse) -> None:
        """Make the first key of a use; processes that start together agree on one."""
        fresh = await self._generate(use, wait=0)
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

    async def rotate(self, use: KeyUse, *, at_once: bool = False) -> tuple[SigningKey, bool]:
        """Let a new key succeed the one that signs, after it was published long enough or at once.

        Returns the successor, and whether it was made now: False is one that was published before. Raises
        SettingsError where the new key would be stored otherwise than the others.
        """
        stored = await self._store.read(verbs.listed)
        await self.check()
        if self.sealing.on and not all(is_sealed(key) for key in stored):
            raise SettingsError(
                ENV_NAMES["key_encryption_key"],
                "is set, and the signing keys in the database are not encrypted yet",
                "a server that was started with it before",
            )
        return await self._succeed(use, at_once=at_once, unless_after=math.inf if at_once else self._clock(), why="")

    async def rotate_aged(self, use: KeyUse, age: float) -> None:
        """Rotate unless a key younger than `age` (seconds) signs or waits: of all processes that notice, one does."""
        await self.check()
        await self._succeed(use, at_once=False, unless_after=self._clock() - age, why=", by age")

    async def retire(self, kid: str) -> verbs.Retired:
        """End a key and all tokens it signed at once; see `verbs.retire` for the outcomes."""
        now = self._clock()

        def describe(outcome: verbs.Retired) -> AuditEvent | None:
            return event(now, "key.retired", "success", detail=kid) if outcome == "retired" else None

        return await self._store.write(
            audit.recorded, describe, verbs.retire, kid, in_force(self._alg), now, now + ACCESS_TOKEN_MAX
        )

    async def remove_ended(self) -> None:
        """Remove the keys whose last token has expired."""
        now = self._clock()

        def describe(kids: list[str]) -> AuditEvent | None:
            return event(now, "key.ended", "success", detail=" ".join(kids)) if kids else None

        await self._store.write(
            audit.recorded, describe, verbs.remove_ended, now - VERIFIES_AFTER, now, now + ACCESS_TOKEN_MAX
        )

    async def _succeed(self, use: KeyUse, *, at_once: bool, unless_after: float, why: str) -> tuple[SigningKey, bool]:
        fresh = await self._generate(use, wait=0 if at_once else PUBLISHED_BEFORE)
        now = self._clock()

        def describe(successor: SigningKey) -> AuditEvent | None:
            detail = f"{fresh.kid} for {use} tokens, {'at once' if at_once else f'in {PUBLISHED_BEFORE} s'}{why}"
            return event(now, "key.rotated", "success", detail=detail) if successor.kid == fresh.kid else None

        successor = await self._store.write(
            audit.recorded, describe, verbs.rotate, fresh, unless_after, now, now + ACCESS_TOKEN_MAX
        )
        return successor, successor.kid == fresh.kid

    async def _generate(self, use: KeyUse, *, wait: float) -> SigningKey:
        alg = in_force(self._alg)[use]
        pem = await anyio.to_thread.run_sync(generate_pem, alg)  # RSA takes a while
        kid, now = load_key(pem, alg).kid, self._clock()
        return SigningKey(kid, use, alg, self.sealing.seal(kid, pem), now, now + wait)
