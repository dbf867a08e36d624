"""Client authentication by private_key_jwt.

Sources: RFC 7521 section 4.2, RFC 7523 sections 2.2 and 3, OpenID Connect Core 1.0 section 9,
draft-ietf-oauth-rfc7523bis (the audience is the issuer alone, as one string).
"""

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any, Final

from oauth_server.core.capabilities import CLIENT_ASSERTION_ALGORITHMS
from oauth_server.core.client_keys import ClientKey, client_keys, verify_assertion
from oauth_server.core.clock import Clock
from oauth_server.core.deployment import Deployment
from oauth_server.core.fetched import Connect, Fetched, FetchError
from oauth_server.core.jwt_parts import JwtError, assertion_kid, check_times, encodable
from oauth_server.core.rate_limits import RateLimits
from oauth_server.outbound import Limits
from oauth_server.store.ages import CLOCK_SKEW
from oauth_server.store.records import Client
from oauth_server.store.store import Store
from oauth_server.store.verbs import assertions

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_LIFE: Final = 300  # seconds
MAX_JTI: Final = 256
LIMITS: Final = Limits(body=64 * 1024, seconds=10, requests=1)
MOST_KEPT: Final = 1000  # parsed key sets, some 20 MiB where each has as many keys as it may
REFETCH: Final = 60  # seconds after which an unknown kid may make a key set be fetched again


class ClientAssertions:
    """Checks assertions against the keys of the client they are for."""

    def __init__(
        self, deployment: Deployment, store: Store, connect: Connect, rate_limits: RateLimits, clock: Clock
    ) -> None:
        self._issuer = deployment.issuer
        self._store = store
        self._clock = clock
        self._key_sets = Fetched(connect, LIMITS, _parse_keys, rate_limits, clock)
        self._registered: OrderedDict[str, tuple[object, tuple[ClientKey, ...]]] = OrderedDict()

    async def check(self, client: Client, assertion: str) -> ClientKey:
        """Accept an assertion of this client, once; the key that signed it.

        Raises JwtError naming the check that failed.
        """
        pinned = client.metadata.get("token_endpoint_auth_signing_alg")
        algorithms = CLIENT_ASSERTION_ALGORITHMS if pinned is None else (pinned,)
        claims, key = verify_assertion(assertion, await self._keys(client, assertion), algorithms)
        self._check_claims(client, claims)
        digest = hashlib.sha256(f"{client.client_id}\x00{claims['jti']}".encode()).digest()
        # In the store, so that one worker knows what another accepted.
        if not await self._store.write(assertions.accept, digest, float(claims["exp"]), self._clock() - CLOCK_SKEW):
            raise JwtError("jti", "this assertion was used before")
        return key

    async def has(self, client: Client, key: ClientKey, assertion: str) -> bool:
        """Whether a key, which signed this assertion, is one of the client's keys."""
        try:
            return any(known.numbers == key.numbers for known in await self._keys(client, assertion))
        except JwtError:
            return False

    def _registered_keys(self, client: Client) -> tuple[ClientKey, ...]:
        """The keys that stand in the client's metadata, parsed once for as long as they stay the same."""
        jwks = client.metadata.get("jwks")
        known = self._registered.get(client.client_id)
        if known is None or known[0] != jwks:
            known = self._registered[client.client_id] = jwks, client_keys(jwks)
            if len(self._registered) > MOST_KEPT:
                self._registered.popitem(last=False)
        return known[1]

    async def _keys(self, client: Client, assertion: str) -> Collection[ClientKey]:
        jwks_uri = client.metadata.get("jwks_uri")
        if jwks_uri is None:
            return self._registered_keys(client)
        kid = assertion_kid(assertion)
        try:
            keys = await self._key_sets.get(jwks_uri)
            if kid is not None and all(key.kid != kid for key in keys):
                # The client may have rotated its keys since; but strangers must not make us fetch at will.
                keys = await self._key_sets.get(jwks_uri, not_older_than=self._clock() - REFETCH)
        except FetchError as error:
            raise JwtError("key", f"the client's key set {error}") from None
        return keys

    def _check_claims(self, client: Client, claims: Mapping[str, Any]) -> None:
        for name in ("iss", "sub"):
            if claims.get(name) != client.client_id:
                raise JwtError("claims", f"{name} is not the client_id")
        # Another server that is named too, or that has the same token endpoint, could present the assertion here.
        if claims.get("aud") != self._issuer:
            raise JwtError("audience", f"aud must be the issuer alone, as one string: {self._issuer}")
        now = self._clock()
        check_times({"iat": now, **claims}, now)
        issued = claims.get("iat", now)
        if claims["exp"] - max(issued, now - CLOCK_SKEW) > LONGEST_LIFE + CLOCK_SKEW:
            raise JwtError("expiry", f"it would be good for more than {LONGEST_LIFE} seconds")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI or not encodable(jti):
            raise JwtError("jti", f"jti is missing, or not a string of at most {MAX_JTI} characters")


def _parse_keys(_url: str, document: object) -> tuple[ClientKey, ...]:
    try:
        return client_keys(document)
    except JwtError as error:
        raise ValueError(error.reason) from None
