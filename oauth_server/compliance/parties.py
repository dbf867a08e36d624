"""Who takes part in a flow, and what they hold: clients, authorization requests, tokens."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl, quote_plus, urljoin, urlsplit

import anyio

from oauth_server.compliance.model import Exchange, Missing
from oauth_server.compliance.visitor import Visit
from oauth_server.outbound import OutboundError

Changes = Mapping[str, str | list[str] | None]
"""Parameters to set, to repeat (a list) or to leave out (None)."""
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Client:
    """A client of the run; `secret` is empty for a public one, `manage` its configuration endpoint and token.

    `assertion`: makes the JWT by which a `private_key_jwt` client authenticates, another one for each request.
    """

    client_id: str
    redirect_uri: str
    secret: str = ""
    method: str = "none"
    manage: tuple[str, str] | None = None
    exchange: Exchange | None = None
    assertion: Callable[[], str] | None = None

    def authenticated(self, fields: dict[str, str | list[str] | None]) -> dict[str, str]:
        """Add the client to the fields of a form; returns the headers of its request."""
        if self.method == "client_secret_basic":
            pair = ":".join(quote_plus(part, errors="replace") for part in (self.client_id, self.secret))
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        fields["client_id"] = self.client_id
        if self.method == "client_secret_post":
            fields["client_secret"] = self.secret
        if self.assertion is not None:
            fields["client_assertion_type"] = ASSERTION_TYPE
            fields["client_assertion"] = self.assertion()
        return {}


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request and what came of it; `answer` holds the parameters that came back, each as a list."""

    client: Client
    verifier: str
    state: str
    url: str
    visit: Visit
    answer: Mapping[str, list[str]]

    def first(self, name: str) -> str:
        """Return the first value of a parameter that came back, empty when it did not."""
        return next(iter(self.answer.get(name, [])), "")

    def requested(self, name: str) -> str:
        """Return a parameter of the request, empty when it was not sent."""
        return dict(parse_qsl(urlsplit(self.url).query)).get(name, "")

    @property
    def shown(self) -> tuple[Exchange, ...]:
        """The last exchange, for evidence; nothing where a person's own browser made it."""
        return self.visit.trail[-1:]

    @property
    def target(self) -> str:
        """Where the browser was sent in the end, wherever that is; empty when it stayed on a page."""
        if self.visit.location or not self.visit.trail:
            return self.visit.location
        answer = self.visit.trail[-1].answer
        location = answer.header("Location") if answer.status in range(300, 400) else None
        try:
            return urljoin(answer.url, location) if location else ""
        except ValueError:
            return location or ""

    @property
    def sent(self) -> dict[str, list[str]]:
        """The parameters of an authorization response to any client, in query or fragment; nothing else has any.

        It is known by `code` or `error` beside the state of this request, or by arriving at the redirect URI.
        """
        try:
            parts = urlsplit(self.target)
        except ValueError:
            return {}
        found: dict[str, list[str]] = {}
        # A server that appends to a redirect URI with a fragment puts its parameters behind it.
        for part in (parts.query, parts.fragment.rpartition("?")[2]):
            for name, value in parse_qsl(part, keep_blank_values=True):
                found.setdefault(name, []).append(value)
        ours = bool(self.visit.location) or self.state in found.get("state", [])
        return found if ours and found.keys() & {"code", "error", "access_token", "id_token"} else {}

    @property
    def status(self) -> int:
        """The status of the last answer, 0 where a person's own browser got it."""
        return self.visit.trail[-1].answer.status if self.visit.trail else 0

    @property
    def on_page(self) -> bool:
        """Whether the request ended on an error page, and the client was told nothing."""
        return not self.sent and self.status >= 400  # noqa: PLR2004 - the errors of HTTP

    @property
    def refused(self) -> bool:
        """Whether the client was told an error, or the last page is one."""
        return bool(self.sent.get("error")) or self.status >= 400  # noqa: PLR2004 - the errors of HTTP


@dataclass(frozen=True, slots=True)
class Tokens:
    """A token response that was good; `members` are those of the answer."""

    client: Client
    exchange: Exchange
    members: Mapping[str, Any]
    asked: Asked | None = None

    def text(self, name: str) -> str:
        """Return a member that is a string, empty for anything else."""
        value = self.members.get(name)
        return value if isinstance(value, str) else ""

    @property
    def access_token(self) -> str:
        """The access token."""
        return self.text("access_token")

    def refresh_token(self) -> str:
        """Return the refresh token; Missing when none was issued."""
        return self.text("refresh_token") or missing("no refresh token was issued")


def missing(reason: str) -> NoReturn:
    """Raise Missing with the reason."""
    raise Missing(reason)


@dataclass(slots=True)
class Once:
    """A thing that is made once, by whoever needs it first; that it cannot be had is remembered, too."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    value: Any = None
    failure: Missing | OutboundError | None = None

    async def get(self, make: Callable[[], Awaitable[Any]]) -> Any:
        """Return it, made now if nobody needed it before; raises again what kept it from being made."""
        if self.value is None and self.failure is None:
            async with self.lock:
                await self._make(make)
        if isinstance(self.failure, OutboundError):
            raise OutboundError(self.failure.reason)
        if self.failure is not None:
            raise Missing(str(self.failure))
        return self.value

    async def _make(self, make: Callable[[], Awaitable[Any]]) -> None:
        if self.value is None and self.failure is None:  # nobody made it while this one waited
            try:
                self.value = await make()
            except (Missing, OutboundError) as failure:
                self.failure = failure


def pairs(fields: Changes) -> list[tuple[str, str]]:
    """Return the pairs of a query or form: a list repeats its name, None is left out."""
    return [
        (name, item)
        for name, value in fields.items()
        if value is not None
        for item in (value if isinstance(value, list) else [value])
    ]
