"""Access tokens and ID tokens: issued, and verified check by check.

Sources: RFC 9068 sections 2 and 4, RFC 6750, OpenID Connect Core 1.0 section 2.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from oauth_server.core.access import Principal
from oauth_server.core.clock import Clock, random_id
from oauth_server.core.deployment import Deployment
from oauth_server.core.errors import InvalidTokenError
from oauth_server.core.jwt import ACCESS_TOKEN_TYPES, ID_TOKEN_TYPES, sign, verify
from oauth_server.core.jwt_parts import JwtError, UnknownKeyError, check_times, left_half_hash
from oauth_server.core.keys import Keys
from oauth_server.core.revocation import Entry, RevocationFilter
from oauth_server.core.scopes import implied

CACHE_SIZE = 10_000
# The checks of `verify` in their order, as its errors name them.
CHECKS = (
    "format",
    "type",
    "critical",
    "key",
    "algorithm",
    "signature",
    "issuer",
    "claims",
    "expiry",
    "not_before",
    "audience",
    "revocation",
)
# The digest of a token whose signature the present request found wrong.
_forged_here: ContextVar[bytes] = ContextVar("forged_here", default=b"")
_TEXT_CLAIMS = ("iss", "sub", "client_id", "jti", "scope", "grant_id")


@dataclass(frozen=True)
class AccessToken:
    """A verified access token; times are Unix seconds."""

    subject: str
    client_id: str
    scope: tuple[str, ...]
    audience: str
    grant_id: str
    jti: str
    issued_at: int
    expires_at: int

    @property
    def of_client(self) -> bool:
        """Whether the client acts for itself: then `subject` names it, and no person (RFC 9068 section 2.2)."""
        return self.subject == self.client_id

    @cached_property
    def principal(self) -> Principal:
        """The caller whom this token stands for."""
        return Principal(self.subject, self.client_id, implied(self.scope))

    @cached_property
    def revocable(self) -> tuple[Entry, ...]:
        """What a revocation may name to end this token."""
        return (
            ("token", self.jti),
            ("grant", self.grant_id),
            ("client", self.client_id),
            ("all", ""),
            *(() if self.of_client else (("user", self.subject),)),
        )


class Tokens:
    """Issues and verifies the tokens of one issuer.

    `keys` gives the signing keys as they stand now. `seek` looks for keys that another process made a moment ago: a
    token of an unknown key is not refused before.
    """

    def __init__(
        self,
        deployment: Deployment,
        keys: Callable[[], Keys],
        seek: Callable[[], Awaitable[None]],
        revoked: RevocationFilter,
        clock: Clock,
    ) -> None:
        self._deployment = deployment
        self._current_keys = keys
        self._seek = seek
        self._revoked = revoked
        self._clock = clock
        self._cache: OrderedDict[bytes, AccessToken] = OrderedDict()
        self._cached_with: Keys | None = None

    @property
    def keys(self) -> Keys:
        """The signing keys as they stand now: the same object until one of them changes."""
        return self._current_keys()

    @property
    def lifetime(self) -> int:
        """How long an access token lives, in seconds."""
        return self._deployment.settings.token_expiry

    def issue_access(
        self,
        *,
        subject: str,
        client_id: str,
        scope: tuple[str, ...],
        audience: str,
        grant_id: str,
        issued_at: float | None = None,
    ) -> str:
        """Sign an access token for one resource (RFC 9068 section 2.2).

        `issued_at` is when what it rests on was looked up, by default now.
        """
        now = int(self._clock())
        claims = {
            "iss": self._deployment.issuer,
            "sub": subject,
            "aud": audience,
            "exp": now + self.lifetime,
            # So that what ends the tokens of a moment also ends those that were asked for before it and signed after.
            "iat": now if issued_at is None else int(issued_at),
            "jti": random_id(),
            "client_id": client_id,
            "scope": " ".join(scope),
            "grant_id": grant_id,
        }
        return sign(self.keys.sign_access, claims, "at+jwt")

    def reply(
        self,
        *,
        subject: str,
        client_id: str,
        scope: tuple[str, ...],
        audience: str,
        grant_id: str,
        issued_at: float,
    ) -> dict[str, Any]:
        """The token response with a new access token (RFC 6749 section 5.1); it always states the scope."""
        token = self.issue_access(
            subject=subject,
            client_id=client_id,
            scope=scope,
            audience=audience,
            grant_id=grant_id,
            issued_at=issued_at,
        )
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "scope": " ".join(scope),
        }

    def issue_id(self, *, subject: str, client_id: str, auth_time: float, nonce: str | None, access_token: str) -> str:
        """Sign an ID token (OpenID Connect Core section 2) for the client."""
        now = int(self._clock())
        claims: dict[str, object] = {
            "iss": self._deployment.issuer,
            "sub": subject,
            "aud": client_id,
            "exp": now + self.lifetime,
            "iat": now,
            "auth_time": int(auth_time),
            "at_hash": left_half_hash(access_token),
        }
        if nonce is not None:
            claims["nonce"] = nonce
        return sign(self.keys.sign_id, claims, "JWT")

    async def verify(self, token: str, audience: Collection[str] | None = None) -> AccessToken:
        """The verified token; raises InvalidTokenError naming the failed check.

        `audience` lists the resource names of which the token must carry one; None accepts any of ours.
        Raises StoreUnavailableError where nobody can say whether it was revoked, or its key was made a moment ago: a
        refused one would be thrown away.
        """
        self._revoked.require_trust()
        try:
            found = await self._known(token)
        except JwtError as error:
            raise InvalidTokenError(error.check, error.reason) from None
        if audience is not None and found.audience not in audience:
            raise InvalidTokenError("audience", f"meant for {found.audience}")
        grant_id = None if found.of_client else found.grant_id  # a client that acts for itself has no grant
        if self._revoked.suspects(found.revocable) and await self._revoked.confirmed(
            found.revocable, found.issued_at, grant_id
        ):
            raise InvalidTokenError("revocation", "the token, its grant, its user or its client was revoked")
        return found

    async def _known(self, token: str) -> AccessToken:
        try:
            return self._cached(token)
        except UnknownKeyError:
            await self._seek()
        return self._cached(token)

    def _cached(self, token: str) -> AccessToken:
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        keys = self.keys
        if keys is not self._cached_with:  # a key may have been retired, and with it what it signed
            self._cache.clear()
            self._cached_with = keys
        found = self._cache.get(digest)
        if found is None:
            found = self._inspected_once(token, digest)
            self._cache[digest] = found
            if len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        elif found.expires_at <= self._clock():
            del self._cache[digest]
            raise JwtError("expiry", "expired")
        return found

    def _inspected_once(self, token: str, digest: bytes) -> AccessToken:
        """Inspect a token; a signature that this request found wrong is not verified again.

        A client is authenticated as it was when a token's grant was consented to, before the token itself is judged.
        """
        if _forged_here.get() == digest:
            raise JwtError("signature", "the signature does not verify")
        try:
            return self._inspect(token)
        except JwtError as error:
            if error.check == "signature":
                _forged_here.set(digest)
            raise

    def _inspect(self, token: str) -> AccessToken:
        claims = verify(token, self.keys.access, ACCESS_TOKEN_TYPES)
        audience = self._check_claims(claims)
        return AccessToken(
            claims["sub"],
            claims["client_id"],
            tuple(claims["scope"].split()),
            audience,
            claims["grant_id"],
            claims["jti"],
            int(claims["iat"]),
            int(claims["exp"]),
        )

    def _check_claims(self, claims: Mapping[str, Any]) -> str:
        """Require what RFC 9068 section 2.2 requires; returns the audience."""
        if claims.get("iss") != self._deployment.issuer:
            raise JwtError("issuer", "another issuer")
        for name in _TEXT_CLAIMS:
            if not isinstance(claims.get(name), str):
                raise JwtError("claims", f"{name} is missing or not a string")
        check_times(claims, self._clock())
        audience = claims.get("aud")
        names = [audience] if isinstance(audience, str) else audience
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise JwtError("claims", "aud is missing or malformed")
        if len(names) > 1:  # what one of the resources is shown, it could use at the others (RFC 9068 section 3)
            raise JwtError("audience", f"meant for {len(names)} resources, and a token is for one")
        return str(names[0])

    async def id_token_hint(self, token: str) -> tuple[str, str] | None:
        """(sub, client_id) of an ID token of ours, expired or not; None for anything else (RP-initiated logout)."""
        try:
            try:
                claims = verify(token, self.keys.id, ID_TOKEN_TYPES)
            except UnknownKeyError:
                await self._seek()
                claims = verify(token, self.keys.id, ID_TOKEN_TYPES)
        except JwtError:
            return None
        if claims.get("iss") != self._deployment.issuer:
            return None
        return str(claims.get("sub")), str(claims.get("aud"))
