"""The clients of one run: registered where a server registers any, deleted at the end (RFC 7591, RFC 7592)."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import anyio

from oauth_server.compliance import urls
from oauth_server.compliance.model import Exchange
from oauth_server.compliance.parties import Client, Once, missing
from oauth_server.outbound import OutboundError

if TYPE_CHECKING:
    from oauth_server.compliance.survey import Survey

# The same in every run: servers that share identical public registrations gather no rows from it.
NAME: Final = "MCP OAuth audit"
REGISTERED: Final = (200, 201)
GONE: Final = (200, 204, 401)  # 401: a check deleted it already, or its token was replaced
DELETING: Final = 10.0  # seconds


class Clients:
    """Registers clients, each once, and remembers them. `given`: a client that the operator registered."""

    def __init__(self, survey: "Survey", redirect_uri: str, given: Client | None = None) -> None:
        self._survey = survey
        self.redirect_uri = redirect_uri
        self._given = given
        self._made: dict[str, Once] = {}
        self._clients: list[Client] = []
        self._unread = 0

    async def metadata(self, **members: Any) -> dict[str, Any]:
        """Return the metadata of a right public client; `members` replace, None leaves out."""
        scope = await self._survey.wanted_scope()
        right = {
            "client_name": NAME,
            "redirect_uris": [self.redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            **({"scope": scope} if scope else {}),
            **members,
        }
        return {name: value for name, value in right.items() if value is not None}

    async def register(self, metadata: Mapping[str, Any]) -> Exchange:
        """Ask for a registration; a client that comes of it is deleted at the end."""
        url = await self._survey.stated("registration_endpoint")
        fields = {"Content-Type": "application/json", "Accept": "application/json"}
        exchange = await self._survey.send("POST", url, fields, json.dumps(metadata).encode())
        if exchange.answer.status in REGISTERED and self._keep(exchange, metadata) is None:
            self._unread += 1
        return exchange

    def _keep(self, exchange: Exchange, metadata: Mapping[str, Any]) -> Client | None:
        try:
            members = exchange.answer.json()
        except ValueError:
            return None
        if not isinstance(members, dict):
            return None
        known = {name: value for name, value in members.items() if isinstance(value, str) and value.isprintable()}
        if not known.get("client_id"):
            return None
        place, token = known.get("registration_client_uri", ""), known.get("registration_access_token", "")
        own = urls.read(place) is not None and urls.origin(place) == urls.origin(exchange.answer.url)
        method = known.get("token_endpoint_auth_method") or metadata.get("token_endpoint_auth_method", "none")
        redirects = metadata.get("redirect_uris")
        client = Client(
            known["client_id"],
            str(redirects[0]) if isinstance(redirects, list) and redirects else "",
            known.get("client_secret", ""),
            method if known.get("client_secret") else "none",
            (place, token) if own and token else None,
            exchange,
        )
        self._survey.hide(client.secret, token)
        self._clients.append(client)
        return client

    async def answered(self, name: str, **members: Any) -> Exchange:
        """Return how a registration with `members` was answered, the same one for the same name."""

        async def make() -> Exchange:
            return await self.register(await self.metadata(**members))

        exchange: Exchange = await self._made.setdefault(name, Once()).get(make)
        return exchange

    async def registered(self, name: str, **members: Any) -> Client:
        """Return a client registered with `members`, the same one for the same name."""
        exchange = await self.answered(name, **members)
        found = next((client for client in self._clients if client.exchange is exchange), None)
        return found or missing(f"no client could be registered: the answer was {exchange.answer.status}")

    async def public(self) -> Client:
        """Return the public client that most flows are walked with, or the one that was given."""
        return self._given or await self.registered("public")

    async def scoped(self, scope: str) -> Client:
        """Return a public client that may ask for this scope, where registered scopes are a limit; else the given."""
        return self._given or await self.registered(f"scope {scope}", scope=scope)

    async def other(self) -> Client:
        """Return a second public client, which has no business with the first one's codes and tokens."""
        return await self.registered("other", client_name=f"{NAME}: another client")

    async def confidential(self, method: str = "client_secret_basic") -> Client:
        """Return a client with a secret that authenticates by this method; Missing when there is none to have."""
        if self._given is not None and self._given.method == method:
            return self._given
        client = await self.registered(
            method, client_name=f"{NAME}: confidential", token_endpoint_auth_method=method, application_type=None
        )
        return client if client.method == method else missing(f"no client is registered for {method}")

    async def delete(self) -> tuple[str, ...]:
        """Delete what was registered; returns a sentence for each client that stays."""
        unread = "A client stays registered: the answer to its registration could not be read."
        stay: list[str] = [unread] * min(self._unread, 1)
        with anyio.move_on_after(DELETING, shield=True):
            for client in {client.client_id: client for client in self._clients}.values():
                reason = await self._delete(client)
                if reason:
                    stay.append(f"The client {client.client_id} stays registered: {reason}.")
        return tuple(stay)

    async def _delete(self, client: Client) -> str:
        if client.manage is None:
            return "the server gave it no way to delete itself"
        place, token = client.manage
        try:
            exchange = await self._survey.send("DELETE", place, {"Authorization": f"Bearer {token}"})
        except OutboundError as error:
            return error.reason
        return "" if exchange.answer.status in GONE else f"its deletion was answered {exchange.answer.status}"
