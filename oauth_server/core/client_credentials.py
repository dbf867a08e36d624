"""The client credentials grant: a client acts for itself, never for a person.

Sources: RFC 6749 section 4.4, RFC 9068 section 2.2 (sub), RFC 9700 section 4.15, MCP extension
io.modelcontextprotocol/oauth-client-credentials.
"""

from collections.abc import Mapping
from typing import Any

from oauth_server.core import scopes
from oauth_server.core.audit import event
from oauth_server.core.clock import Clock, random_id
from oauth_server.core.deployment import Deployment
from oauth_server.core.errors import InvalidClientError, InvalidScopeError, UnauthorizedClientError
from oauth_server.core.tokens import Tokens
from oauth_server.store.records import Client
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, clients


def client_ceiling(client: Client | None) -> frozenset[str]:
    """What a client may be granted for itself, the scope hierarchy applied: its registered scope, else mcp:read."""
    return frozenset() if client is None else scopes.implied(client.scope or (scopes.READ,))


class ClientCredentials:
    """Issues access tokens to clients themselves; no grant row and no refresh token come with them."""

    def __init__(self, deployment: Deployment, store: Store, tokens: Tokens, clock: Clock) -> None:
        self._configured = deployment.settings.scope
        self._resources = deployment.resources
        self._store = store
        self._tokens = tokens
        self._clock = clock

    async def issue(self, client: Client, form: Mapping[str, str], resources: list[str]) -> dict[str, Any]:
        """The token response for a client that authenticated (RFC 6749 section 4.4.3).

        Raises UnauthorizedClientError, InvalidScopeError or InvalidTargetError.
        """
        # MUST only be used by confidential clients (RFC 6749 section 4.4).
        if not client.confidential:
            raise UnauthorizedClientError
        scope = self._scope(client, form.get("scope"))
        audience = self._resources.one(resources) or self._resources.root
        now, grant_id = self._clock(), random_id()
        happened = event(
            now,
            "token.issued",
            "success",
            client_id=client.client_id,
            detail=f"to the client itself: {' '.join(scope)}; grant {grant_id}",
        )
        used = await self._store.write(
            audit.recorded, lambda found: happened if found else None, clients.use, client.client_id, now
        )
        if not used:
            raise InvalidClientError(reason="the client was deleted meanwhile")
        # `sub` is the client_id, which no person has: theirs are random (RFC 9068 section 5).
        return self._tokens.reply(
            subject=client.client_id,
            client_id=client.client_id,
            scope=scope,
            audience=audience,
            grant_id=grant_id,
            issued_at=now,
        )

    def _scope(self, client: Client, text: str | None) -> tuple[str, ...]:
        """Requested, configured and within the client's registered scope, which is a ceiling here.

        Identity scopes tell of a person, and offline_access stands for one who is away, so none is ever granted.
        """
        ceiling = client_ceiling(client)
        asked = (client.scope or (scopes.READ,)) if text is None else scopes.parse(text)
        granted = tuple(scope for scope in asked if scope in self._configured and scope in ceiling)
        if not granted:
            allowed = " ".join(scope for scope in self._configured if scope in ceiling) or "nothing"
            raise InvalidScopeError(f"None of the requested scopes can be granted; this client may have {allowed}.")
        return granted
