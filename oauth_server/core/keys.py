"""The signing keys: one for access tokens, another for ID tokens, created on the first start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from oauth_server.core.capabilities import ID_TOKEN_ALGORITHMS
from oauth_server.core.clock import Clock
from oauth_server.core.jwt import Key, generate_pem, load_key
from oauth_server.store.records import KeyUse, SigningKey
from oauth_server.store.store import Store
from oauth_server.store.verbs import meta


class Keys:
    """All signing keys, parsed. Tokens verify against every key of their use; new ones are signed by the newest."""

    def __init__(self, stored: list[SigningKey], access_alg: str) -> None:
        loaded = [(entry, load_key(entry.private_pem, entry.alg)) for entry in stored]
        self.access: Mapping[str, Key] = {key.kid: key for entry, key in loaded if entry.use == "access"}
        self.id: Mapping[str, Key] = {key.kid: key for entry, key in loaded if entry.use == "id"}
        self.sign_access = next(k for e, k in loaded if e.use == "access" and e.alg == access_alg)
        self.sign_id = next(k for e, k in loaded if e.use == "id" and e.alg == ID_TOKEN_ALGORITHMS[0])

    @property
    def all(self) -> tuple[Key, ...]:
        """Every key, for the key set that is published."""
        return (*self.access.values(), *self.id.values())


async def load_keys(store: Store, access_alg: str, clock: Clock) -> Keys:
    """Load the keys, creating what is missing; processes that start together agree on one key for each use."""
    wanted: tuple[tuple[KeyUse, str], ...] = (("access", access_alg), ("id", ID_TOKEN_ALGORITHMS[0]))
    stored = await store.read(meta.list_keys)
    for use, alg in wanted:
        if not any(key.use == use and key.alg == alg for key in stored):
            pem = generate_pem(alg)
            fresh = SigningKey(load_key(pem, alg).kid, use, alg, pem, clock())
            await store.write(meta.add_key_if_none, use, alg, fresh)
            stored = await store.read(meta.list_keys)
    return Keys(stored, access_alg)


@dataclass(frozen=True)
class ListedKey:
    """A signing key as people may see it; `signing` is the one that new tokens are signed with."""

    kid: str
    alg: str
    use: KeyUse
    created_at: float
    state: Literal["signing", "verifying"]


async def listed_keys(store: Store, access_alg: str) -> list[ListedKey]:
    """The stored keys, the newest first; creates none."""
    in_force = {"access": access_alg, "id": ID_TOKEN_ALGORITHMS[0]}
    signing: set[KeyUse] = set()
    found = []
    for key in await store.read(meta.list_keys):
        signs = key.alg == in_force[key.use] and key.use not in signing
        if signs:
            signing.add(key.use)
        found.append(ListedKey(key.kid, key.alg, key.use, key.created_at, "signing" if signs else "verifying"))
    return found
