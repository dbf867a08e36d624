"""One step of a browser through the authorization endpoint."""

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request

from oauth_server.core.document_urls import host_of
from oauth_server.core.documents import AUTHORIZE_PATH
from oauth_server.flow.authorize_checks import AuthorizeRequest
from oauth_server.flow.http import parse_pairs
from oauth_server.store.records import Client, Session


@dataclass(frozen=True)
class Turn:
    """One request of a browser to this endpoint: what it asks for, and who sent it."""

    request: Request
    asked: AuthorizeRequest
    cookie: str | None
    session: Session | None

    @property
    def query(self) -> str:
        """The authorization request as it was sent; every form posts back to it, and is bound to it."""
        return str(self.request.url.query)

    @property
    def action(self) -> str:
        """Where the forms post to."""
        return f"{AUTHORIZE_PATH}?{self.query}"

    @property
    def client(self) -> Client:
        """The verified client."""
        return self.asked.known_client

    @property
    def client_name(self) -> str:
        """What the client calls itself; before its metadata document was fetched, the host that publishes it."""
        client = self.asked.client
        client_id = self.asked.params.get("client_id") or ""
        return host_of(client_id) if client is None else client.name or client_id

    @property
    def action_after_login(self) -> str:
        """Where to go on after a login, which has done what prompt=login and max_age asked for."""
        pairs = []
        for name, value in parse_pairs(self.request.scope["query_string"]):
            if name == "prompt":
                kept = " ".join(p for p in value.split() if p not in ("login", "select_account"))
                if kept:
                    pairs.append((name, kept))
            elif name != "max_age":
                pairs.append((name, value))
        return f"{AUTHORIZE_PATH}?{urlencode(pairs)}"
