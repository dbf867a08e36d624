"""Clients: found, listed and configured (RFC 6749 section 2)."""

import hashlib
import hmac
from typing import Final

from oauth_server.core.audit import event
from oauth_server.core.clock import Clock, token_hash
from oauth_server.core.revocation import ACCESS_TOKEN_MAX, SPREAD_SECONDS, RevocationFilter
from oauth_server.core.settings import Settings
from oauth_server.store.records import Client
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, clients, documents

_OF_NOTHING: Final = bytes(32)  # the digest of no known text
MOST_KEPT: Final = 4096  # clients, some 6 MiB


def secret_hash(secret: str) -> bytes:
    """SHA-256 of a client secret. Secrets are 256 random bits, so no password hash is needed."""
    return hashlib.sha256(secret.encode()).digest()


def proves(presented: str | None, stored: bytes | None) -> bool:
    """Whether a presented secret or token is the one whose SHA-256 is stored, compared in constant time.

    Never where nothing was presented, and never where nothing is stored.
    """
    digest = hashlib.sha256((presented or "").encode("utf-8", "surrogatepass")).digest()
    return hmac.compare_digest(digest, stored or _OF_NOTHING) and bool(presented) and stored is not None


class Clients:
    """Looks clients up.

    With a revocation filter they are kept in memory until some process announces a change; whatever changes or deletes
    a client announces that. Where the store does not answer, or the last look is longer ago than a change may take to
    arrive everywhere, nothing is answered from memory. Another process may have changed a client since the last look,
    so nobody is refused by what was kept: who would refuse calls `forget`, and judges again by what `find` says.
    """

    def __init__(self, store: Store, clock: Clock, revoked: RevocationFilter | None = None) -> None:
        self._store = store
        self._clock = clock
        self._revoked = revoked
        self._kept: dict[str, Client] = {}
        if revoked is not None:
            revoked.on_change(self._forget_all)

    async def recall(self, client_id: str) -> Client | None:
        """The client of that id as it was at the last look; None for one that ended unused."""
        now, kept = self._clock(), self._kept
        found = kept.get(client_id)
        if found is not None and not _ended(found, now) and self._trusted():
            return found
        found = await self.find(client_id)
        # One that is known by its metadata document may say something else each time.
        if found is not None and found.source != "document" and self._trusted():
            kept[client_id] = found
            if len(kept) > MOST_KEPT:
                del kept[next(iter(kept))]
        return found

    async def find(self, client_id: str) -> Client | None:
        """The client of that id as it is stored; None for one that ended unused."""
        return await self._store.read(clients.find, client_id, self._clock())

    def forget(self, client_id: str) -> bool:
        """Whether it was kept, so that what `recall` said of it may be of before; from now on it is not."""
        return self._kept.pop(client_id, None) is not None

    def _trusted(self) -> bool:
        return self._revoked is not None and self._store.answers and self._revoked.age <= SPREAD_SECONDS

    def _forget_all(self) -> None:
        # Another dict: what is being read at this moment may be of before, and must not be kept.
        self._kept = {}

    async def of_code(self, client: Client, code: str) -> Client:
        """A client known by its metadata document, as it was when a code was consented to."""
        return await self._store.read(documents.of_code, client, token_hash(code))

    async def of_refresh_token(self, client: Client, token: str) -> Client:
        """A client known by its metadata document, as it was when the grant of a refresh token was consented to."""
        return await self._store.read(documents.of_refresh, client, token_hash(token))

    async def of_grant(self, client: Client, grant_id: str) -> Client:
        """A client known by its metadata document, as it was when a grant was consented to."""
        return await self._store.read(documents.of_grant, client, grant_id)

    async def configure(self, settings: Settings) -> None:
        """Make the pre-registered client what the settings say."""
        secret = settings.client_secret.get_secret_value() if settings.client_secret else None
        client = Client(
            client_id=settings.client_id,
            name=settings.client_name,
            secret_hash=None if secret is None else secret_hash(secret),
            auth_method="none" if secret is None else "client_secret_basic",
            redirect_uris=settings.client_redirect_uris,
            grant_types=("authorization_code", "refresh_token"),
            scope=(),
            application_type="native",
            source="configured",
            created_at=self._clock(),
        )
        now = self._clock()
        happened = event(now, "client.configured", "success", client_id=client.client_id, detail=client.name)
        await self._store.write(
            audit.recorded,
            lambda changed: happened if changed else None,
            clients.configure,
            client,
            now,
            now + ACCESS_TOKEN_MAX,
        )

    async def newest(self, limit: int = 200) -> list[Client]:
        """The clients registered last."""
        return await self._store.read(clients.newest, limit, self._clock())


def _ended(client: Client, now: float) -> bool:
    """Whether it ended unused, as far as is known here: it may have been used, or given more time, since."""
    return client.last_used_at is None and client.unused_until is not None and client.unused_until <= now
