"""Dynamic client registration: client metadata in, a client out (RFC 7591 sections 2 and 3).

One parser serves the HTTP endpoints, the MCP tool and the command line.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from oauth_server.core import scopes
from oauth_server.core.audit import caller_address, event
from oauth_server.core.capabilities import CLIENT_AUTH_METHODS, REGISTRABLE_GRANT_TYPES, capabilities
from oauth_server.core.client_descriptions import name_of
from oauth_server.core.client_metadata import fingerprint, parse_client, present, registered_metadata
from oauth_server.core.clients import secret_hash
from oauth_server.core.clock import Clock, random_id, random_token, token_hash
from oauth_server.core.documents import REGISTER_PATH
from oauth_server.core.errors import (
    InvalidClientMetadataError,
    InvalidSoftwareStatementError,
    InvalidTargetError,
    RegistrationTokenError,
    TooManyRegistrationsError,
    UnapprovedSoftwareStatementError,
)
from oauth_server.core.initial_access_tokens import InitialAccessTokens, refused
from oauth_server.core.jwt_parts import JwtError, unverified_statement
from oauth_server.core.limits import bucket_key, source_of, wider_sources
from oauth_server.core.policies import NEW_CLIENTS, Policy
from oauth_server.core.rate_limits import RateLimits, all_origins, caller
from oauth_server.core.refusals import Refusals
from oauth_server.core.resource_indicators import normalise
from oauth_server.core.settings import Settings
from oauth_server.core.settings_rules import quoted
from oauth_server.store.records import AuditEvent, Bounds, Bucket, Client, TooMany
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, clients, registrations

# A client registers in order to sign in at once; one that nobody signed in with for a day was given up.
UNUSED_LIFETIME: Final = 24 * 3600  # seconds
# An unused client that is shared gets its full time back, and that costs a write at most this often.
RENEWED_AFTER: Final = 3600  # seconds
BOUNDS: Final = Bounds(
    # A class or an office behind one address, each with a port of its own in the redirect URI, and each trying twice;
    # one more each 36 seconds. Deleting a client gives nothing back.
    from_source=100,
    window=3600,
    # At a few kilobytes each, some tens of megabytes; a flood that fills it ends within a day by itself.
    unused=10_000,
)
BY_ADDRESS: Final = Policy("registrations", BOUNDS.from_source, BOUNDS.window)
# By IPv6 /56 and /48: who has one of these has many a /64. Within a day a /48 fills less than the ceiling for all.
BY_NETWORK: Final = (Policy("registrations-56", 150, BOUNDS.window), Policy("registrations-48", 240, BOUNDS.window))
_UNUSED: Final = Policy("unused-clients", BOUNDS.unused, UNUSED_LIFETIME)
_CEILING_LOOK: Final = 5  # seconds after which it is looked up again whether there is room for an unused client


class Registration:
    """Registers clients as the settings allow."""

    def __init__(
        self,
        settings: Settings,
        issuer: str | None,
        store: Store,
        rate_limits: RateLimits,
        refusals: Refusals,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._refusals = refusals
        self._issuer = issuer
        self._store = store
        self._rate_limits = rate_limits
        self._clock = clock
        self._ceiling = TooMany("unused", 0.0), 0.0  # when it was reached last, and until when that is not looked up
        self._initial = InitialAccessTokens(store, clock)

    @property
    def is_open(self) -> bool:
        """Whether anybody may register a client."""
        return capabilities(self._settings).registration

    async def register(
        self, metadata: Mapping[str, Any], *, initial_token: str | None = None, by_administrator: bool = False
    ) -> dict[str, Any]:
        """Register a client and return the client information response (RFC 7591 section 3.2.1).

        `client_secret` is in this answer and nowhere else ever again. A public client that anybody registers is shared
        by all who register the same. Raises RegistrationTokenError,
        InvalidRedirectUriError, InvalidClientMetadataError, a software statement's error or TooManyRegistrationsError;
        nothing is stored then.
        """
        try:
            return await self._register(metadata, initial_token, by_administrator=by_administrator)
        except (RegistrationTokenError, TooManyRegistrationsError) as error:
            await self._refusals.record("client.registered", detail=error.reason)
            raise

    async def _register(
        self, metadata: Mapping[str, Any], initial_token: str | None, *, by_administrator: bool
    ) -> dict[str, Any]:
        if by_administrator and initial_token is None:
            return await self.add(metadata)
        # Before the metadata is looked at: who may not register learns nothing about it.
        usable = await self._usable(initial_token)
        client, secret = self._client(metadata, REGISTRABLE_GRANT_TYPES)
        token = random_token() if client.confidential or usable is not None else None
        client = replace(client, registration_token_hash=None if token is None else token_hash(token))
        if usable is None:
            client = await self._join(client)
        elif not await self._spend(client, usable):  # another registration took the last use since
            return await self._register(metadata, initial_token, by_administrator=by_administrator)
        return client_information(client, self._issuer, secret=secret, token=token)

    async def _usable(self, initial_token: str | None) -> str | None:
        """The initial access token where it can be used; raises RegistrationTokenError where one is needed.

        Where anybody may register, any other token changes nothing: many clients send whatever token they had before.
        """
        if initial_token is not None and await self._initial.usable(initial_token):
            return initial_token
        if self.is_open:
            return None
        if initial_token is not None:
            raise refused()
        raise RegistrationTokenError(
            "Dynamic client registration is switched off here (MCP_OAUTH_DYNAMIC_REGISTRATION=false); "
            "ask the operator of this server for a client_id or an initial access token.",
            reason="no initial access token, and registration is not open",
        )

    async def add(
        self,
        metadata: Mapping[str, Any],
        *,
        grant_types: Collection[str] = REGISTRABLE_GRANT_TYPES,
        resources: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Add a client of the operator's: never shared, never ended unused, not managed by itself.

        `grant_types` are those it may have, `resources` those whose tokens it may introspect. Raises what `register`
        raises for metadata, InvalidTargetError for a resource that is no URI, InvalidClientMetadataError for a public
        client with the client credentials grant.
        """
        client, secret = self._client(metadata, grant_types)
        # MUST only be used by confidential clients (RFC 6749 section 4.4).
        if "client_credentials" in client.grant_types and not client.confidential:
            raise InvalidClientMetadataError("client_credentials needs a client that authenticates, not method none.")
        if "client_credentials" in client.grant_types:
            _check_ceiling(client, metadata.get("scope"))
        client = replace(client, resources=tuple(_resource(uri) for uri in resources))
        happened = _registered(client)
        await self._store.write(audit.recorded, lambda _: happened, clients.add, client)
        return client_information(client, self._issuer, secret=secret)

    def _client(self, metadata: Mapping[str, Any], grant_types: Collection[str]) -> tuple[Client, str | None]:
        client = parse_registration(self._settings, metadata, random_id(), self._clock(), grant_types)
        if not needs_secret(client):
            return client, None
        secret = random_token()
        return replace(client, secret_hash=secret_hash(secret)), secret

    async def _spend(self, client: Client, initial_token: str) -> bool:
        """Store the client by one use of the token; False where it has none left."""
        hashed = token_hash(initial_token)
        happened = _registered(client, f"initial access token {hashed.hex()[:16]}")
        return await self._store.write(
            audit.recorded,
            lambda done: happened if done else None,
            registrations.register_with_token,
            client,
            hashed,
            client.created_at,
        )

    async def _join(self, client: Client) -> Client:
        """The client that has this fingerprint already, which is not bounded and not counted, or this one."""
        now, source, known = client.created_at, caller(), None
        client = replace(client, registered_from=source_of(caller_address.get()), unused_until=now + UNUSED_LIFETIME)
        if not client.confidential:
            client = replace(client, fingerprint=(print_ := fingerprint(client)))
            known = await self._store.read(registrations.shared, print_, now)
            if known is not None and not _is_renewed(known, now):
                return known
        if known is None:
            self._admit(source, now)
        outcome: Client | TooMany = await self._store.write(
            audit.recorded,
            lambda found: _registered(client) if found == client else None,
            registrations.register,
            client,
            BOUNDS,
            bucket_key("registration", source),
            now,
            tuple(_bucket(policy, network) for policy, network in _networks()),
        )
        if known is None and outcome != client:  # of several that came at once, one is new
            self._rate_limits.give_back(NEW_CLIENTS, "")
        if not isinstance(outcome, TooMany):
            return outcome
        if outcome.bound == "unused":
            self._ceiling = outcome, now + _CEILING_LOOK
            raise _too_many(_UNUSED, outcome, source, now)
        networks = {found[0].name: found for found in _networks()}
        policy, key = networks[outcome.kind] if outcome.kind else (BY_ADDRESS, source)
        self._rate_limits.fill(policy, key, outcome.until)
        raise _too_many(policy, outcome, key, now)

    def _admit(self, source: str, now: float) -> None:
        """Raise for what a flood gets beyond its bounds: it costs neither the write lock nor a count of clients."""
        for policy, key in ((BY_ADDRESS, source), *_networks()):
            self._rate_limits.admit(policy, key)
        for policy, address in all_origins(BY_ADDRESS):
            self._rate_limits.take(policy, address)
        full, until = self._ceiling
        if now < until:
            raise _too_many(_UNUSED, full, source, now)
        self._rate_limits.take(NEW_CLIENTS, "")


def parse_registration(
    settings: Settings,
    metadata: Mapping[str, Any],
    client_id: str,
    created_at: float,
    grant_types: Collection[str] = REGISTRABLE_GRANT_TYPES,
) -> Client:
    """The client that a registration or its replacement describes, without secret and token."""
    _check_software_statement(present(metadata).get("software_statement"))
    return parse_client(
        settings,
        metadata,
        client_id=client_id,
        created_at=created_at,
        source="registered",
        methods=CLIENT_AUTH_METHODS,
        grant_types=grant_types,
    )


def _is_renewed(known: Client, now: float) -> bool:
    """Whether a shared client that nobody used yet gets its full time back by being registered again."""
    ends = known.unused_until if known.last_used_at is None else None
    return ends is not None and ends <= now + UNUSED_LIFETIME - RENEWED_AFTER


def _networks() -> tuple[tuple[Policy, str], ...]:
    """The caller's IPv6 networks, each with its bound; none for a caller of IPv4."""
    return tuple(zip(BY_NETWORK, wider_sources(caller_address.get()), strict=False))


def _bucket(policy: Policy, network: str) -> Bucket:
    return Bucket(policy.name, bucket_key(policy.name, network), policy.quota, policy.interval)


def _too_many(policy: Policy, found: TooMany, key: str, now: float) -> TooManyRegistrationsError:
    return TooManyRegistrationsError(policy, reason=f"for {key}", retry_after=max(1, math.ceil(found.until - now)))


def needs_secret(client: Client) -> bool:
    """Whether the client authenticates by a secret."""
    return client.auth_method.startswith("client_secret")


def client_information(
    client: Client, issuer: str | None, *, secret: str | None = None, token: str | None = None
) -> dict[str, Any]:
    """The client information response (RFC 7591 section 3.2.1, RFC 7592 section 3).

    `secret` is one that was made just now, `token` the registration access token that counts from now on.
    """
    answer: dict[str, Any] = {"client_id": client.client_id, "client_id_issued_at": int(client.created_at)}
    if secret is not None:
        answer["client_secret"] = secret
    if needs_secret(client):
        answer["client_secret_expires_at"] = 0  # never
    if token is not None:
        answer |= {
            "registration_client_uri": f"{issuer}{REGISTER_PATH}/{client.client_id}",
            "registration_access_token": token,
        }
    return answer | registered_metadata(client)


def _registered(client: Client, by: str = "") -> AuditEvent:
    detail = f"{name_of(client)}; by {by}" if by else name_of(client)
    return event(client.created_at, "client.registered", "success", client_id=client.client_id, detail=detail)


def _resource(uri: str) -> str:
    found = normalise(uri)
    if found is None:
        raise InvalidTargetError(f"{uri[:120]!a} is not the URI of a resource.")
    return found


def _check_ceiling(client: Client, scope: str | None) -> None:
    """Refuse a scope that this server does not know: here it is a ceiling, and without one another would count."""
    unknown = [] if scope is None else [word for word in scopes.parse(scope) if word not in client.scope]
    if unknown or (scope is not None and not client.scope):
        said = f"{quoted(unknown[0])} is not a scope of this server" if unknown else "no scope is named"
        raise InvalidClientMetadataError(f"scope is what this client may be granted, and {said}.")


def _check_software_statement(statement: object) -> None:
    """Refuse a software statement (RFC 7591 section 3.2.2): there is no issuer whose statements count here."""
    if statement is None:
        return
    try:
        unverified_statement(statement)
    except JwtError as error:
        raise InvalidSoftwareStatementError(reason=error.reason) from None
    raise UnapprovedSoftwareStatementError
