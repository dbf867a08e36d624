"""The authorization code flow of one run, as a right client walks it, and with changes as a wrong one.

Sources: OAuth 2.1 sections 3 and 4, RFC 8707, RFC 7009.
"""

import base64
import contextlib
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import anyio

from oauth_server.compliance import urls
from oauth_server.compliance.glance import Glance
from oauth_server.compliance.model import Exchange, Missing
from oauth_server.compliance.parties import Asked, Changes, Client, Once, Tokens, missing, pairs
from oauth_server.compliance.registrar import NAME, Clients
from oauth_server.compliance.visitor import Follower, Forger, Visit, Visitor
from oauth_server.outbound import OutboundError

if TYPE_CHECKING:
    from oauth_server.compliance.survey import Survey

REDIRECT: Final = "http://127.0.0.1:8765/callback"  # where no visitor brings a URI of its own
OK: Final = 200
REVOKING: Final = 10.0  # seconds
PATIENCE: Final = 10  # how often a person with a browser is asked to consent in one run


class Walk:
    """Makes authorization requests through a visitor, and token requests. What cannot be had raises Missing."""

    def __init__(self, survey: "Survey", visitor: Visitor | None, given: Client | None = None) -> None:
        """`given`: a client that the operator registered, for servers that register none."""
        self._survey = survey
        self._visitor = visitor
        self._visiting = anyio.Lock()
        self._consents = 0
        self._flows: dict[str, Once] = {}
        self._tokens: dict[str, Tokens] = {}
        self.signing_in: Visit | None = None  # the first visit in which somebody signed in
        self.clients = Clients(survey, visitor.redirect_uri if visitor else REDIRECT, given)

    @property
    def visitor(self) -> Visitor:
        """Who signs in; Missing when nobody does."""
        return self._visitor or missing("nobody was named who may sign in and consent, so no flow was walked")

    @property
    def follower(self) -> Follower:
        """The visitor, where it follows links of other sites; Missing when it follows none."""
        visitor = self.visitor
        if isinstance(visitor, Follower):
            return visitor
        return missing("a person's browser follows no link of another site")

    @property
    def watching(self) -> bool:
        """Whether somebody signs in whose pages can be seen."""
        return self._visitor is not None and self._visitor.watches

    async def authorization_url(self, client: Client, verifier: str, state: str, changes: Changes) -> str:
        """Return the URL of a right authorization request of this client, with changes."""
        digest = hashlib.sha256(verifier.encode()).digest()
        try:
            resource: str | None = await self._survey.wanted_resource()
        except Missing:
            resource = None
        fields: dict[str, str | list[str] | None] = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": client.redirect_uri,
            "scope": await self._survey.wanted_scope() or None,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "resource": resource,
            **changes,
        }
        return urls.with_query(await self._survey.stated("authorization_endpoint"), *pairs(fields))

    async def ask(self, client: Client | None = None, changes: Changes | None = None) -> Asked:
        """Make an authorization request and go wherever it leads; Missing when a person was asked often enough."""
        if not self.visitor.watches:
            with contextlib.suppress(Missing, OutboundError):
                await self.sample()  # what most checks look at comes first of the little that a person is asked
        return await self._counted(client, changes)

    async def _counted(self, client: Client | None, changes: Changes | None) -> Asked:
        if not self.visitor.watches:
            self._consents += 1
            if self._consents > PATIENCE:
                missing(f"a person has consented {PATIENCE} times, which is enough of a person")
        return await self._ask(self.visitor.visit, client or await self.clients.public(), changes or {})

    async def _ask(self, visit: Callable[[str], Awaitable[Visit]], client: Client, changes: Changes) -> Asked:
        verifier, state = secrets.token_urlsafe(32), changes.get("state")
        state = state if isinstance(state, str) else secrets.token_urlsafe(12)
        url = await self.authorization_url(client, verifier, state, changes)
        async with self._visiting:
            visited = await visit(url)
        if self.signing_in is None and visited.signed_in is not None:
            self.signing_in = visited
        answer: dict[str, list[str]] = {}
        for name, value in parse_qsl(urlsplit(visited.location).query, keep_blank_values=True):
            answer.setdefault(name, []).append(value)
        asked = Asked(client, verifier, state, url, visited, answer)
        for name in ("code", "access_token", "id_token"):
            self._survey.hide(*answer.get(name, []), *asked.sent.get(name, []))
        return asked

    async def sample(self, client: Client | None = None) -> Asked:
        """Return a right authorization request of this client and what came of it, the same for all who ask."""
        client = client or await self.clients.public()
        found: Asked = await self.once(f"sample {client.client_id}", lambda: self._counted(client, None))
        return found

    async def attempt(self, changes: Changes, client: Client | None = None) -> Asked:
        """Make a request that may be refused: through a visitor who sees pages, else as one without a session.

        Missing when a right request of the client is refused, too, or when somebody would have to sign in first.
        """
        client = client or await self.clients.public()
        visit = self.visitor.visit if self.watching else Glance(self._survey, client.redirect_uri).visit
        name = f"sample {client.client_id}" if self.watching else f"glance {client.client_id}"
        right: Asked = await self.once(name, lambda: self._ask(visit, client, {}))
        if right.refused:
            missing("a right authorization request is refused, too")
        asked = await self._ask(visit, client, changes)
        if not (right.sent.get("code") or asked.sent or asked.refused):
            missing("somebody has to sign in before the request is judged")
        return asked

    async def told(self, changes: Changes, client: Client | None = None) -> Asked:
        """Make a request whose error belongs to the client, as `attempt` does.

        Before a sign-in a server shows a page rather than send the browser to the address of a client that it does not
        know (RFC 9700 section 4.11.2). So after such a page the visitor signs in, and the request is made again.
        Missing where there is no visitor, or where the server keeps no session for it.
        """
        client = client or await self.clients.public()
        asked = await self.attempt(changes, client)
        if not asked.on_page:
            return asked
        if not self.watching:
            missing("an error page is shown before anyone has signed in, which is right, and nobody signs in")
        right = await self._ask(self.visitor.visit, client, {})
        asked = await self._ask(self.visitor.visit, client, changes)
        if not asked.on_page:
            return asked
        once_more = await self._ask(self.visitor.visit, client, {})
        if not right.sent.get("code") or once_more.visit.signed_in is not None:
            missing("an error page is shown before anyone has signed in, and the server asks for a sign-in each time")
        return asked

    async def forged(self) -> Asked:
        """Make a right request, and send its consent as another site would; Missing when that cannot be done."""
        visitor = self.visitor
        try:  # of a client of its own, to which nobody consented before
            client = await self.clients.registered("forged", client_name=f"{NAME}: another site")
        except Missing:
            client = await self.clients.public()
        if not isinstance(visitor, Forger):
            return missing("a person's browser sends no form of another site")

        async def forge(url: str) -> Visit:
            return await visitor.forge(url) or missing("no consent form was seen")

        return await self._ask(forge, client, {})

    async def followed(self, client: Client, *, foreign: bool) -> Asked:
        """Make a right request where nobody presses anything; `foreign`: by a link on another site."""
        visitor = self.follower
        return await self._ask(lambda url: visitor.follow(url, foreign=foreign), client, {})

    async def refused(self, changes: Changes, client: Client | None = None) -> Asked:
        """Make a request that should be refused; Missing when the visitor could not see that it was."""
        if not self.visitor.watches:
            missing("a person's browser does not tell what it was shown")
        return await self.ask(client, changes)

    async def code(self, client: Client | None = None, changes: Changes | None = None) -> Asked:
        """Make an authorization request that brings a code; Missing with the reason when none comes."""
        return self.brought(await self.ask(client, changes))

    async def arrived(self) -> Asked:
        """Return the shared right request, which brought a code that nobody redeems; Missing when none came."""
        return self.brought(await self.sample())

    @staticmethod
    def brought(asked: Asked) -> Asked:
        """Return a request that brought a code; Missing with the reason when it brought none."""
        if asked.first("code"):
            return asked
        error = asked.first("error")
        if error:
            return missing(f"the authorization request was refused: {error} {asked.first('error_description')}")
        where = f" (it ended at {asked.shown[0].request}: {asked.shown[0].answer.status})" if asked.shown else ""
        return missing(f"the authorization request brought no code{where}")

    # Tokens

    async def post(self, url: str, client: Client | None, fields: Changes, headers: Mapping[str, str]) -> Exchange:
        """Post a form to an endpoint, authenticated as the client; None sends no client at all."""
        form = dict(fields)
        added = client.authenticated(form) if client else {}
        form |= {name: value for name, value in fields.items() if name in form}
        return await self._survey.send_form(url, pairs(form), {**added, **headers})

    async def redeem(self, asked: Asked, changes: Changes | None = None, client: Client | None = None) -> Exchange:
        """Redeem a code as its own client does, with changes."""
        fields: dict[str, str | list[str] | None] = {
            "grant_type": "authorization_code",
            "code": asked.first("code"),
            "redirect_uri": asked.client.redirect_uri,
            "code_verifier": asked.verifier,
            "resource": dict(parse_qsl(urlsplit(asked.url).query)).get("resource"),
            **(changes or {}),
        }
        url = await self._survey.stated("token_endpoint")
        return self._seen(await self.post(url, client or asked.client, fields, {}), client or asked.client, asked)

    async def refresh(self, tokens: Tokens, changes: Changes | None = None, client: Client | None = None) -> Exchange:
        """Refresh as the tokens' own client does, with changes."""
        fields: dict[str, str | list[str] | None] = {
            "grant_type": "refresh_token",
            "refresh_token": tokens.text("refresh_token"),
            **(changes or {}),
        }
        url = await self._survey.stated("token_endpoint")
        client = client or tokens.client
        return self._seen(await self.post(url, client, fields, {}), client, tokens.asked)

    def _seen(self, exchange: Exchange, client: Client, asked: Asked | None) -> Exchange:
        """Take note of tokens in an answer, so that none is printed and all are taken back."""
        tokens = self.read(exchange, client, asked)
        if tokens is not None:
            self._survey.hide(*(tokens.text(name) for name in ("access_token", "refresh_token", "id_token")))
            # The refresh token ends the grant; a later one of the same grant takes the place of the one it replaced.
            self._tokens[tokens.asked.state if tokens.asked else tokens.access_token] = tokens
        return exchange

    @staticmethod
    def read(exchange: Exchange, client: Client, asked: Asked | None = None) -> Tokens | None:
        """Read a token response, None when it is none."""
        try:
            members = exchange.answer.json()
        except ValueError:
            return None
        good = exchange.answer.status == OK and isinstance(members, dict)
        tokens = Tokens(client, exchange, members, asked) if good else None
        return tokens if tokens and tokens.access_token else None

    async def fresh(self, client: Client | None = None, changes: Changes | None = None) -> Tokens:
        """Walk a whole right flow of its own, from the authorization request to the tokens."""
        asked = await self.code(client, changes)
        exchange = await self.redeem(asked)
        found = self.read(exchange, asked.client, asked)
        return found or missing(f"the token endpoint refused a right request: {exchange.answer.status}")

    async def tokens(
        self, name: str = "shared", client: Client | None = None, changes: Changes | None = None
    ) -> Tokens:
        """Return the tokens of one right flow, the same for the same name; who ends them takes a name of its own."""
        found: Tokens = await self._flows.setdefault(name, Once()).get(lambda: self.fresh(client, changes))
        return found

    async def once(self, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
        """Do what several checks look at: once, by whichever comes first; all get the result, or why there is none."""
        return await self._flows.setdefault(f"once: {name}", Once()).get(make)

    def noted(self, exchange: Exchange, client: Client, asked: Asked | None = None) -> Exchange:
        """Take note of tokens that came of a request of a check's own: hidden, and taken back at the end."""
        return self._seen(exchange, client, asked)

    async def with_scope(self, scope: str, changes: Changes | None = None) -> Tokens:
        """Return the tokens of a flow that asks for this scope, by a client that is registered for it."""
        _ = self.visitor  # without one, nothing is registered either
        changes = {"scope": scope, **(changes or {})}
        return await self.tokens(f"with {sorted(changes.items())}", await self.clients.scoped(scope), changes)

    async def take_back(self) -> tuple[str, ...]:
        """Revoke the tokens and delete the clients; returns a sentence for each client that stays."""
        with anyio.move_on_after(REVOKING, shield=True):
            for tokens in self._tokens.values():
                await self._revoke(tokens)
        return await self.clients.delete()

    async def _revoke(self, tokens: Tokens) -> None:
        token = tokens.text("refresh_token") or tokens.access_token
        try:
            url = await self._survey.stated("revocation_endpoint")
            await self.post(url, tokens.client, {"token": token}, {})
        except (Missing, OutboundError):
            return  # they end by themselves
