"""Clients: found, and authenticated at the token endpoint (RFC 6749 sections 2.3 and 3.2.1)."""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Mapping
from urllib.parse import unquote_plus

from oauth_server.core.audit import event
from oauth_server.core.clock import Clock
from oauth_server.core.errors import InvalidClientError, InvalidRequestError
from oauth_server.core.revocation import ACCESS_TOKEN_MAX
from oauth_server.core.settings import Settings
from oauth_server.store.records import Client
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, clients

_ABSENT = hashlib.sha256(b"").digest()


def secret_hash(secret: str) -> bytes:
    """SHA-256 of a client secret. Secrets are 256 random bits, so no password hash is needed."""
    return hashlib.sha256(secret.encode()).digest()


def _basic(credentials: str) -> tuple[str, str]:
    """(client_id, secret) of a Basic header, both form-decoded (RFC 6749 section 2.3.1)."""
    try:
        text = b64decode(credentials.strip(), validate=True).decode("utf-8")
    except ValueError:
        raise InvalidClientError("The Basic credentials cannot be decoded.", basic=True) from None
    client_id, colon, secret = text.partition(":")
    if not colon:
        raise InvalidClientError("The Basic credentials have no colon.", basic=True)
    return unquote_plus(client_id), unquote_plus(secret)


class Clients:
    """Looks clients up and checks that a token request comes from the client it names."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def find(self, client_id: str) -> Client | None:
        """The client of that id."""
        return await self._store.read(clients.find, client_id)

    async def authenticate(self, authorization: str | None, form: Mapping[str, str]) -> Client:
        """The client that sent this request; raises InvalidClientError, or InvalidRequestError for two methods at once.

        `form` has the body's parameters without empty ones.
        """
        client_id, secret = form.get("client_id"), form.get("client_secret")
        # "Basic" without anything is an attempt to authenticate too, and must fail as one.
        scheme, *credentials = (authorization or "").split(maxsplit=1) or [""]
        basic = scheme.lower() == "basic"
        method = "none" if secret is None else "client_secret_post"
        if "client_assertion" in form or "client_assertion_type" in form:
            raise InvalidClientError("Client assertions are not supported.", basic=basic)
        if basic:
            if secret is not None:
                raise InvalidRequestError("Two client authentication methods were used at once.")
            named, secret = _basic("".join(credentials))
            if client_id not in (None, named):
                raise InvalidRequestError("client_id differs from the one in the Basic credentials.")
            client_id, method = named, "client_secret_basic"
        if client_id is None:
            raise InvalidClientError("The request names no client.")
        client = await self.find(client_id) if "\x00" not in client_id else None
        self._check(client, method, secret, basic=basic)
        if client is None:
            raise InvalidClientError(basic=basic)
        return client

    @staticmethod
    def _check(client: Client | None, method: str, secret: str | None, *, basic: bool) -> None:
        stored = (client.secret_hash if client else None) or _ABSENT
        # Compared even for an unknown client, so that the answer takes the same time.
        matches = hmac.compare_digest(secret_hash(secret or ""), stored)
        if client is None:
            raise InvalidClientError("The client is unknown; register it again.", reason="unknown client", basic=basic)
        allowed = {client.auth_method}
        if client.source == "configured" and client.confidential:
            # The operator registered no method, so either way of presenting the secret is as good.
            allowed = {"client_secret_basic", "client_secret_post"}
        if method not in allowed:
            raise InvalidClientError(
                reason=f"method {method}, registered {client.auth_method}",
                description=f"This client must authenticate by {' or '.join(sorted(allowed))}.",
                basic=basic,
            )
        if client.confidential and not matches:
            raise InvalidClientError(reason="wrong client secret", basic=basic)

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
        await self._store.write(clients.configure, client, now, now + ACCESS_TOKEN_MAX)

    async def newest(self, limit: int = 200) -> list[Client]:
        """The clients registered last."""
        return await self._store.read(clients.newest, limit)

    async def register(self, client: Client) -> None:
        """Store a registered client, and the event, in one commit."""
        happened = event(self._clock(), "client.registered", "success", client_id=client.client_id, detail=client.name)
        await self._store.write(audit.recorded, lambda _: happened, clients.add, client)
