"""One step of a browser through the authorization endpoint."""

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request

from oauth_server.core.document_urls import host_of
from oauth_server.core.documents import AUTHORIZE_PATH
from oauth_server.flow.authorize_checks import AuthorizeRequest
from oauth_server.flow.browser_sessions import Held
from oauth_server.flow.http import parse_pairs
from oauth_server.flow.places import base_of
from oauth_server.store.records import Client, Session


@dataclass(frozen=True)
class Turn:
    """One request of a browser to this endpoint: what it asks for, and who sent it.

    `held` is the session cookie of the browser, `form` that of the sign-in form it posts. `own`: the person began this
    interaction, by opening its address or from one of our own pages; no other site did.
    """

    request: Request
    asked: AuthorizeRequest
    held: Held | None
    own: bool = False
    form: Held | None = None

    @property
    def session(self) -> Session | None:
        """The live session."""
        return self.held.session if self.held is not None else None

    @property
    def query(self) -> str:
        """The authorization request as it was sent; every form posts back to it, and is bound to it."""
        return str(self.request.url.query)

    @property
    def action(self) -> str:
        """Where the forms of a signed-in person post to."""
        return f"{base_of(self.request)}{AUTHORIZE_PATH}?{self.query}"

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
    def query_after_login(self) -> str:
        """The request that goes on after a login, which has done what prompt=login and max_age asked for."""
        pairs = []
        for name, value in parse_pairs(self.request.scope["query_string"]):
            if name == "prompt":
                kept = " ".join(p for p in value.split() if p not in ("login", "select_account"))
                if kept:
                    pairs.append((name, kept))
            elif name != "max_age":
                pairs.append((name, value))
        return urlencode(pairs)
