"""Day after day of what people and clients do, every day the same: whoever lives with it long enough sees what grows."""

import asyncio
import itertools
from dataclasses import dataclass, field

from sqlalchemy import Connection

from oauth_server.core import limits
from oauth_server.core.errors import InvalidGrantError
from oauth_server.core.grants import REPLAY_AFTER, Approval
from oauth_server.core.initial_access_tokens import InitialAccessTokens
from oauth_server.core.pkce import challenge_of
from oauth_server.core.services import Services
from oauth_server.store.records import Client, Session, User
from oauth_server.store.schema import metadata
from oauth_server.store.verbs import assertions, clients, users
from oauth_server.store.verbs.audit import LANES
from tests.support.clock import ManualClock
from tests.support.stored import client, count, sha, user

DAY = 86_400
VERIFIER = "v" * 43
KINDS = ("kept", "left", "abandoned", "revoked", "token revoked", "replayed", "reused", "bare", "document")
ENV = {"MCP_OAUTH_REFRESH_TOKEN_EXPIRY": str(3 * DAY), "MCP_OAUTH_REFRESH_TOKEN_MAX_AGE": str(8 * DAY)}


def sizes(connection: Connection) -> dict[str, int]:
    """How many rows each table has; a verb."""
    return {name: count(connection, table) for name, table in metadata.tables.items()}


def steady(found: dict[str, int]) -> dict[str, int]:
    """The sizes without the audit log, of whose lanes simultaneous commits may begin one more at any time."""
    lanes = ("audit_heads", "audit_anchors")
    assert max(found[name] for name in lanes) <= LANES, found
    return {name: rows for name, rows in found.items() if name not in (*lanes, "audit")}


@dataclass
class Soak:
    """Flows of every kind through the services of one process, at the pace of its clock."""

    services: Services
    clock: ManualClock
    person: User = field(default_factory=lambda: user("soak", user_id="id-of-soak"))
    public: Client = field(default_factory=lambda: client("soak"))
    bare: Client = field(default_factory=lambda: client("bare", grant_types=("authorization_code",)))
    kept: list[str] = field(default_factory=list)  # refresh tokens that are used each day
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def begin(self) -> None:
        """Store the person and the two clients."""
        await self.services.store.write(users.add, self.person)
        for one in (self.public, self.bare):
            await self.services.store.write(clients.add, one)

    async def day(self, rounds: int) -> None:
        """One flow of each kind so many times, a refresh of all that is kept, and a day passes."""
        session = await self._session()
        self.kept = [token for token in await asyncio.gather(*map(self._refreshed, self.kept)) if token]
        today = f"https://app.example/{next(self.numbers)}"
        stolen = await asyncio.gather(
            *(self._flow(kind, session, today) for kind in KINDS for _ in range(rounds)),
            *(self._around() for _ in range(rounds)),
        )
        self.clock.advance(REPLAY_AFTER + 1)
        for form in filter(None, stolen):
            await self._refused(self.services.grants.redeem(self.public, form, []))
        self.clock.advance(DAY - REPLAY_AFTER - 1)
        await self.services.revoked.refresh()  # a day without a look is a day of which nobody is trusted

    async def _session(self) -> Session:
        await self.services.sessions.start(self.person, None)
        return Session(b"", self.person, self.clock(), self.clock() + DAY)

    async def _refreshed(self, token: str) -> str | None:
        try:
            return str((await self.services.grants.refresh(self.public, {"refresh_token": token}, []))["refresh_token"])
        except InvalidGrantError:  # as old as a family gets
            return None

    async def _refused(self, work: object) -> None:
        try:
            await work  # type: ignore[misc]
        except InvalidGrantError:
            return
        raise AssertionError("it was granted")

    async def _flow(self, kind: str, session: Session, today: str) -> dict[str, str] | None:
        its = {"bare": self.bare, "document": self._documented(today)}.get(kind, self.public)
        form = {"code": await self._code(its, session), "code_verifier": VERIFIER}
        grants = self.services.grants
        if kind == "abandoned":
            return None
        reply = await grants.redeem(its, form, [])
        if kind == "kept":
            self.kept.append(reply["refresh_token"])
        elif kind == "revoked":
            await grants.revoke(its, reply["refresh_token"])
        elif kind == "token revoked":
            await grants.revoke(its, reply["access_token"])
        elif kind == "reused":
            again = await grants.refresh(its, reply, [])
            await grants.refresh(its, again, [])
            await self._refused(grants.refresh(its, reply, []))
        return form if kind == "replayed" else None

    def _documented(self, today: str) -> Client:
        """A client known by its document, which names another redirect URI each day."""
        return client("https://app.example/client", source="document", redirect_uris=(today,))

    async def _code(self, its: Client, session: Session) -> str:
        approval = Approval(
            client=its,
            session=session,
            redirect_uri=its.redirect_uris[0],
            challenge=challenge_of(VERIFIER),
            resources=(self.services.deployment.resources.root,),
            requested=("mcp:read",),
            scope=("mcp:read",),
            nonce=None,
            consent_key="https://app.example/callback",
            asked=True,
        )
        return await self.services.grants.issue_code(approval)

    async def _around(self) -> None:
        """What is stored beside the grants: a client nobody uses, a failed attempt, an assertion, an initial token."""
        number, services = next(self.numbers), self.services
        body = {"redirect_uris": [f"http://127.0.0.1/{number}"], "token_endpoint_auth_method": "none"}
        await services.registration.register(body)
        await limits.Limits(services.store, self.clock).admit(limits.own("account", f"nobody-{number}"))
        await services.store.write(assertions.accept, sha(f"jti-{number}"), self.clock() + 300, self.clock() - 60)
        await InitialAccessTokens(services.store, self.clock).create(1, 60)
