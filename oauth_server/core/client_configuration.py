"""Clients that manage their own registration: read, replaced, deleted (RFC 7592 section 2)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from oauth_server.core.audit import event
from oauth_server.core.client_descriptions import name_of
from oauth_server.core.client_metadata import present
from oauth_server.core.clients import Clients, proves, secret_hash
from oauth_server.core.clock import Clock, random_token, token_hash
from oauth_server.core.errors import InvalidRequestError, RegistrationTokenError
from oauth_server.core.redirect_uris import same_but_port
from oauth_server.core.refusal_log import recordable
from oauth_server.core.refusals import Refusals
from oauth_server.core.registration import client_information, needs_secret, parse_registration
from oauth_server.core.revocation import ACCESS_TOKEN_MAX, RevocationFilter
from oauth_server.core.settings import Settings
from oauth_server.store.records import Client
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, clients

# MUST NOT be in an update (RFC 7592 section 2.2).
_SERVERS: Final = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)


def _refused(reason: str) -> RegistrationTokenError:
    # One answer for every reason, so that nobody learns which client ids exist.
    return RegistrationTokenError(
        "The registration access token is wrong, was replaced, or its client is gone.", reason=reason
    )


class ClientConfiguration:
    """The client configuration endpoint's rules. Only a client with a registration access token is reached by it."""

    def __init__(
        self,
        settings: Settings,
        issuer: str,
        store: Store,
        registered: Clients,
        revoked: RevocationFilter,
        refusals: Refusals,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._issuer = issuer
        self._store = store
        self._clients = registered
        self._revoked = revoked
        self._refusals = refusals
        self._clock = clock

    async def authenticate(self, client_id: str, token: str) -> Client:
        """The client whose registration access token this is; raises RegistrationTokenError."""
        client = await self._clients.find(client_id) if "\x00" not in client_id else None
        # Compared even for an unknown client, so that the answer takes the same time.
        if not proves(token, None if client is None else client.registration_token_hash) or client is None:
            reason = "unknown client" if client is None else "wrong registration access token"
            known = recordable(client_id) if client is None else client.client_id
            await self._refusals.record("client.authentication", client_id=known, detail=reason)
            raise _refused(reason)
        return client

    def read(self, client: Client, token: str) -> dict[str, Any]:
        """What is registered (RFC 7592 section 2.1); the secret is kept as a hash alone, and cannot be among it."""
        return client_information(client, self._issuer, token=token)

    async def replace(self, client: Client, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Make the client what the metadata says, under a new registration access token (RFC 7592 section 2.2).

        Members that are left out are no longer registered. Raises InvalidRequestError and what a registration raises.
        """
        _check_own(client, present(metadata))
        parsed = parse_registration(self._settings, metadata, client.client_id, client.created_at)
        secret = random_token() if needs_secret(parsed) and not needs_secret(client) else None
        kept = client.secret_hash if needs_secret(parsed) else None
        token = random_token()
        changed = replace(
            parsed,
            secret_hash=kept if secret is None else secret_hash(secret),
            registration_token_hash=token_hash(token),
        )
        now = self._clock()
        happened = event(now, "client.updated", "success", client_id=client.client_id, detail=name_of(changed))
        done = await self._store.write(
            audit.recorded,
            lambda stored: happened if stored else None,
            clients.replace,
            changed,
            _token_of(client),
            tuple(same_but_port(uri) for uri in changed.redirect_uris),
        )
        if not done:
            raise _refused("the token was replaced by another update, or the client deleted")
        await self._revoked.catch_up()
        return client_information(changed, self._issuer, secret=secret, token=token)

    async def delete(self, client: Client) -> None:
        """Delete the client; its grants and all its tokens end at once (RFC 7592 section 2.3)."""
        now = self._clock()
        happened = event(
            now, "client.deleted", "success", client_id=client.client_id, detail=f"{name_of(client)}; by the client"
        )
        done = await self._store.write(
            audit.recorded,
            lambda gone: happened if gone else None,
            clients.remove,
            client.client_id,
            now + ACCESS_TOKEN_MAX,
            _token_of(client),
        )
        if not done:
            raise _refused("the token was replaced by an update, or the client deleted")
        await self._revoked.catch_up()


def _token_of(client: Client) -> bytes:
    """The digest of the registration access token that a change must still find; without one nothing may be changed."""
    if client.registration_token_hash is None:
        raise _refused("the client has no registration access token")
    return client.registration_token_hash


def _check_own(client: Client, metadata: Mapping[str, Any]) -> None:
    """Refuse what a client may not say of itself in an update (RFC 7592 section 2.2)."""
    for name in _SERVERS:
        if name in metadata:
            raise InvalidRequestError(f"{name} must not be in an update (RFC 7592 section 2.2).")
    if metadata.get("client_id") != client.client_id:
        raise InvalidRequestError("client_id must be in an update, and be the client's own.")
    secret = metadata.get("client_secret")
    if secret is None:
        return
    if not isinstance(secret, str) or not proves(secret, client.secret_hash):
        raise InvalidRequestError("client_secret must be the present one where it is sent; a client cannot choose it.")
