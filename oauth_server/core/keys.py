"""Signing keys over their life: published, signing, verifying, gone; those of access tokens apart from the others.

Source: OpenID Connect Core 1.0 section 10.1.1 (rotation of signing keys).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from oauth_server.core.capabilities import ID_TOKEN_ALGORITHMS
from oauth_server.core.errors import TemporarilyUnavailableError
from oauth_server.core.jwt import Key
from oauth_server.core.revocation import ACCESS_TOKEN_MAX
from oauth_server.store.records import KeyUse, SigningKey

# Seconds that a new key is published before it signs: verifiers keep the key set for half of that (well_known/jwks.py).
PUBLISHED_BEFORE: Final = 600
# Seconds that a key verifies after it stopped to sign: no token lives longer; and a minute for clocks that differ.
VERIFIES_AFTER: Final = ACCESS_TOKEN_MAX + 60

State = Literal["published", "signing", "verifying"]


def in_force(access_alg: str) -> dict[KeyUse, str]:
    """The algorithm of each use."""
    return {"access": access_alg, "id": ID_TOKEN_ALGORITHMS[0]}


def alive(keys: Iterable[SigningKey], now: float) -> list[SigningKey]:
    """The keys that may still verify a token."""
    return [key for key in keys if key.stops_at is None or key.stops_at + VERIFIES_AFTER > now]


def signer(keys: Iterable[SigningKey], use: KeyUse, alg: str, now: float) -> SigningKey | None:
    """The key that signs now; None when one has to be made."""
    own = [key for key in keys if (key.use, key.alg) == (use, alg) and (key.stops_at is None or key.stops_at > now)]
    started = [key for key in own if key.signs_from <= now]
    if started:
        return max(started, key=lambda key: key.signs_from)
    return min(own, key=lambda key: key.signs_from, default=None)


class Keys:
    """The keys as they stand at one moment. Tokens verify against every key of their use; one of them signs."""

    def __init__(self, loaded: Sequence[tuple[SigningKey, Key]], signing: Mapping[KeyUse, str | None]) -> None:
        """Take the keys with their rows, and the kid of the one that signs for each use, None where none can."""
        self.access: Mapping[str, Key] = {key.kid: key for entry, key in loaded if entry.use == "access"}
        self.id: Mapping[str, Key] = {key.kid: key for entry, key in loaded if entry.use == "id"}
        self._signing = signing

    @property
    def sign_access(self) -> Key:
        """The key that signs access tokens; raises TemporarilyUnavailableError where none can."""
        return self._signer("access", self.access)

    @property
    def sign_id(self) -> Key:
        """The key that signs ID tokens and introspection; raises TemporarilyUnavailableError where none can."""
        return self._signer("id", self.id)

    @property
    def can_sign(self) -> bool:
        """Whether every kind of token can be signed."""
        return None not in self._signing.values()

    def require_signers(self) -> None:
        """Raise TemporarilyUnavailableError unless every kind of token can be signed."""
        _ = self.sign_access, self.sign_id

    @property
    def all(self) -> tuple[Key, ...]:
        """Every key, for the key set that is published."""
        return (*self.access.values(), *self.id.values())

    def _signer(self, use: KeyUse, keys: Mapping[str, Key]) -> Key:
        kid = self._signing[use]
        if kid is None:
            raise TemporarilyUnavailableError(
                "The server has no key to sign tokens with at the moment; its operator is told why.",
                reason=f"no signing key for {use} tokens can be read",
            )
        return keys[kid]


@dataclass(frozen=True)
class ListedKey:
    """A signing key as people may see it; times are Unix seconds.

    `ends_at` is when it leaves the key set, None while nothing succeeds it.
    """

    kid: str
    alg: str
    use: KeyUse
    created_at: float
    state: State
    signs_from: float
    ends_at: float | None


def listed(keys: Sequence[SigningKey], access_alg: str, now: float) -> list[ListedKey]:
    """The keys with their states, in the order given."""
    algorithms = in_force(access_alg)
    living = alive(keys, now)
    signing = {signer(living, use, alg, now) for use, alg in algorithms.items()}
    return [_listed(key, now, signs=key in signing) for key in living]


def _listed(key: SigningKey, now: float, *, signs: bool) -> ListedKey:
    state: State = "signing" if signs else "published" if key.signs_from > now else "verifying"
    ends_at = None if key.stops_at is None else key.stops_at + VERIFIES_AFTER
    return ListedKey(key.kid, key.alg, key.use, key.created_at, state, key.signs_from, ends_at)
