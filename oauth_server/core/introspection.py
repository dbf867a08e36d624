"""Token introspection: who may know what about a token, as JSON or signed.

Sources: RFC 7662 sections 2 to 5, RFC 9701 sections 4 and 5.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from oauth_server.core.clock import Clock, token_hash
from oauth_server.core.deployment import Deployment
from oauth_server.core.errors import InvalidTokenError
from oauth_server.core.jwt import sign
from oauth_server.core.tokens import Tokens
from oauth_server.core.users import Users
from oauth_server.store.records import Client, Permitted
from oauth_server.store.store import Store
from oauth_server.store.verbs import introspection

INACTIVE: Final[Mapping[str, Any]] = {"active": False}
RESPONSE_TYPE: Final = "token-introspection+jwt"


class Asker(NamedTuple):
    """Who asks: a confidential client, or (`client` None) somebody with mcp:admin, by a token of `client_id`."""

    client_id: str
    client: Client | None

    @property
    def administrator(self) -> bool:
        """Whether every token may be seen."""
        return self.client is None


class Introspection:
    """Tells what is known of a token, to those whom it concerns."""

    def __init__(
        self, deployment: Deployment, store: Store, tokens: Tokens, users: Users, permitted: Permitted, clock: Clock
    ) -> None:
        self._issuer = deployment.issuer
        self._resources = deployment.resources
        self._store = store
        self._tokens = tokens
        self._users = users
        self._permitted = permitted
        self._clock = clock

    async def answer(self, asker: Asker, token: str, hint: str | None) -> Mapping[str, Any]:
        """The introspection response (RFC 7662 section 2.2).

        `{"active": false}`, and nothing more, for whatever is not a live token that this asker may see.
        """
        kinds: list[Callable[[Asker, str], Awaitable[dict[str, Any] | None]]] = [self._access, self._refresh]
        # A hint says where to look first; the search goes on where that finds nothing (RFC 7662 section 2.1).
        for look in reversed(kinds) if hint == "refresh_token" else kinds:
            found = await look(asker, token)
            if found is not None:
                return {"active": True, **found}
        return INACTIVE

    def signed(self, asker: Asker, answer: Mapping[str, Any]) -> str:
        """The response as a JWT for this asker (RFC 9701 section 5).

        Neither sub nor exp stand beside the answer, so that it can pass for no other kind of token (section 8.1).
        """
        claims = {
            "iss": self._issuer,
            "aud": asker.client_id,
            "iat": int(self._clock()),
            "token_introspection": dict(answer),
        }
        return sign(self._tokens.keys.sign_id, claims, RESPONSE_TYPE)

    async def _access(self, asker: Asker, token: str) -> dict[str, Any] | None:
        try:
            found = await self._tokens.verify(token)
        except InvalidTokenError:
            return None
        own = asker.client_id == found.client_id
        if not (asker.administrator or own or self._assigned(asker.client, found.audience)):
            return None
        # A name is told with the scope it was consented to; a resource server has no need of it (RFC 7662 section 5).
        told = asker.administrator or (own and "profile" in found.scope)
        user = await self._users.by_id(found.subject) if told and not found.of_client else None
        return {
            "scope": " ".join(found.scope),
            "client_id": found.client_id,
            **({"username": user.username} if user is not None else {}),
            "token_type": "Bearer",
            "exp": found.expires_at,
            "iat": found.issued_at,
            "sub": found.subject,
            "aud": found.audience,
            "iss": self._issuer,
            "jti": found.jti,
        }

    async def _refresh(self, asker: Asker, token: str) -> dict[str, Any] | None:
        """A refresh token's answer has neither token_type nor aud: it is for this server alone, as no access token."""
        found = await self._store.read(introspection.live_refresh, token_hash(token), self._clock())
        own = found is not None and asker.client_id == found.client_id
        if found is None or not (asker.administrator or own):
            return None
        scope = self._permitted.cut(found.scope, found.user.scope)
        if not scope:
            return None
        told = asker.administrator or "profile" in scope
        return {
            "scope": " ".join(scope),
            "client_id": found.client_id,
            **({"username": found.user.username} if told else {}),
            "exp": int(found.expires_at),
            "iat": int(found.issued_at),
            "sub": found.user.user_id,
            "iss": self._issuer,
        }

    def _assigned(self, client: Client | None, audience: str) -> bool:
        """Whether the token is for a resource that the operator assigned to this client."""
        names = (self._resources.canonical(name) for name in (client.resources if client is not None else ()))
        assigned = tuple(name for name in names if name is not None)
        return self._permitted.for_resource(audience, assigned)
