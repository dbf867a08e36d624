"""No sequence of authorizing, redeeming, refreshing, replaying, revoking and restarting gives a right twice.

A state machine drives the rules behind the endpoints on both engines, and holds every answer against a model that
knows nothing of the store.
"""

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, func, select

from oauth_server.app.compose import open_services
from oauth_server.core import pkce
from oauth_server.core.clock import random_id
from oauth_server.core.deployment import deploy
from oauth_server.core.errors import InvalidGrantError, InvalidScopeError, InvalidTargetError, InvalidTokenError
from oauth_server.core.grants import Approval
from oauth_server.core.housekeeping import Housekeeping
from oauth_server.core.services import Services
from oauth_server.core.settings import load
from oauth_server.store.records import Client, Session, User
from oauth_server.store.schema import grants, refresh_tokens
from oauth_server.store.verbs import clients as client_verbs
from oauth_server.store.verbs import users as user_verbs
from tests.support.clock import ManualClock, at_once
from tests.support.databases import SqliteTemplate
from tests.support.postgres import Postgres
from tests.support.stored import client as a_client
from tests.support.stored import user as a_user

ROOT = "http://localhost:8000"
RESOURCES = ((ROOT,), (f"{ROOT}/mcp",), (ROOT, f"{ROOT}/mcp"))
SCOPES = ("mcp:read", "mcp:write", "openid", "offline_access")
INCLUDED = {"mcp:write": {"mcp:read"}}
GRACE, REPLAY, CODE, ACCESS, IDLE, FAMILY = 30, 5, 60, 3600, 30 * 86_400, 180 * 86_400
VERIFIER = "v" * 43
MOST = 3  # families in one example
SOME = st.integers(0, 11)
scope_sets = st.sets(st.sampled_from(SCOPES), min_size=1).map(lambda found: tuple(sorted(found)))


def closed(scope: tuple[str, ...]) -> set[str]:
    """What a scope allows to ask for."""
    return set(scope).union(*(INCLUDED.get(word, set()) for word in scope))


def covered(resources: tuple[str, ...]) -> set[str]:
    """The resources that a grant covers: the whole server covers its endpoint."""
    return {*resources, *((f"{ROOT}/mcp",) if ROOT in resources else ())}


@dataclass
class Access:
    """An access token that was handed out."""

    text: str
    scope: tuple[str, ...]
    audience: str
    until: float
    revoked: bool = False


@dataclass
class Refresh:
    """A refresh token that was handed out; `used_at` once something was issued for it."""

    text: str
    idle_until: float
    used_at: float | None = None
    successor: "Refresh | None" = None


@dataclass
class Family:
    """What one code leads to."""

    client: int
    code: str
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    issued_at: float
    code_gone: bool = False
    redeemed_at: float | None = None
    revoked: bool = False
    access: list[Access] = field(default_factory=list)
    refresh: list[Refresh] = field(default_factory=list)


class GrantMachine(RuleBasedStateMachine):
    """Two clients and one person, at one store."""

    template: ClassVar[SqliteTemplate]
    url: ClassVar[str | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="machine"))
        self.stack = AsyncExitStack()
        self.known: list[Family] = []

    @initialize(scopes=st.tuples(scope_sets, scope_sets), resources=st.sampled_from(RESOURCES))
    def start(self, scopes: tuple[tuple[str, ...], ...], resources: tuple[str, ...]) -> None:
        """One grant that lives, and one code that waits."""
        self.do(self._open())
        self.user: User = a_user(f"alice-{random_id()}", user_id=random_id(), created_at=self.clock())
        self.clients: list[Client] = [a_client(random_id(), redirect_uris=("http://localhost/cb",)) for _ in range(2)]
        self.do(self.services.store.write(user_verbs.add, self.user))
        for client in self.clients:
            self.do(self.services.store.write(client_verbs.add, client))
        for index, scope in enumerate(scopes):
            self.authorize(index, scope, resources)
        self.redeem(0)

    def do(self, work: Any) -> Any:
        """Run something of the server."""
        return self.runner.run(work)

    async def _open(self) -> None:
        values = load({"MCP_OAUTH_DATABASE_URL": self.url or self.template.database(self.folder)})
        opening = open_services(
            values, lambda _: deploy(values, "127.0.0.1", 8000), serves_http=False, clock=self.clock
        )
        opened = await self.stack.enter_async_context(opening)
        self.services: Services = opened.services

    def teardown(self) -> None:
        self.do(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # What happens

    # Few families, so that much happens to each.
    @precondition(lambda self: len(self.known) < MOST)
    @rule(client=st.integers(0, 1), scope=scope_sets, resources=st.sampled_from(RESOURCES))
    def authorize(self, client: int, scope: tuple[str, ...], resources: tuple[str, ...]) -> None:
        """A person approves a request, for more or less than the last time."""
        approval = Approval(
            client=self.clients[client],
            session=Session(b"", self.user, self.clock(), self.clock() + 100),
            redirect_uri="http://localhost:9/cb",
            challenge=pkce.challenge_of(VERIFIER),
            resources=resources,
            requested=scope,
            scope=scope,
            nonce=None,
            consent_key="http://localhost/cb",
            asked=True,
        )
        code = self.do(self.services.grants.issue_code(approval))
        self.known.append(Family(client, code, scope, resources, self.clock()))

    def family(self, index: int) -> Family:
        """One of the families, by any number."""
        return self.known[index % len(self.known)]

    def held(self, index: int, back: int) -> tuple[Family, Refresh] | None:
        """A refresh token of some family: the last one, or one `back` before it; None where none was issued."""
        family = self.family(index)
        return (family, family.refresh[-1 - back % len(family.refresh)]) if family.refresh else None

    @rule(index=SOME)
    def redeem(self, index: int) -> None:
        """A code is redeemed as it should be, for the first time or again."""
        family = self.family(index)
        self._redeem(family, family.client, True, ())

    @rule(
        index=SOME,
        client=st.integers(0, 1),
        right_verifier=st.booleans(),
        resources=st.sampled_from([(), *RESOURCES, ("https://evil.example",)]),
    )
    def redeem_by_whoever(self, index: int, client: int, right_verifier: bool, resources: tuple[str, ...]) -> None:
        """A code is redeemed by one of the clients, with some verifier, for some resource."""
        self._redeem(self.family(index), client, right_verifier, resources)

    def _redeem(self, family: Family, client: int, right_verifier: bool, resources: tuple[str, ...]) -> None:
        now = self.clock()
        form = {
            "code": family.code,
            "code_verifier": VERIFIER if right_verifier else "w" * 43,
            "redirect_uri": "http://localhost:9/cb",
        }
        work = self.services.grants.redeem(self.clients[client], form, list(resources))
        foreign = "https://evil.example" in resources or len(resources) > 1
        expected: type[Exception] | None = None
        if foreign:
            expected = InvalidTargetError
        elif family.code_gone or client != family.client:
            expected = InvalidGrantError
        elif not right_verifier:
            expected = InvalidGrantError
            family.code_gone = family.redeemed_at is None
        elif family.redeemed_at is not None:
            expected = InvalidGrantError
            family.revoked |= now - family.redeemed_at > REPLAY
        elif family.issued_at + CODE <= now:
            expected = InvalidGrantError
        elif not set(resources) <= covered(family.resources):
            expected = InvalidTargetError
        if expected is not None:
            with pytest.raises(expected):
                self.do(work)
            return
        family.redeemed_at = now
        self._received(family, self.do(work), family.scope, (*resources, *family.resources)[0], None)

    @rule(index=SOME, back=st.sampled_from([0, 0, 1, 2]))
    def refresh(self, index: int, back: int) -> None:
        """A refresh token is used by its client: the last one, or one before it."""
        held = self.held(index, back)
        if held is not None:
            self._refresh(*held, 0, None, ())

    @rule(
        index=SOME,
        client=st.integers(0, 1),
        scope=st.none() | scope_sets,
        resources=st.sampled_from([(), *RESOURCES]),
    )
    def refresh_for_whatever(
        self, index: int, client: int, scope: tuple[str, ...] | None, resources: tuple[str, ...]
    ) -> None:
        """The last refresh token is used for some scope and resource, by its client (0) or the other (1)."""
        held = self.held(index, 0)
        if held is not None:
            self._refresh(*held, client, scope, resources)

    def _refresh(
        self,
        family: Family,
        token: Refresh,
        client: int,
        scope: tuple[str, ...] | None,
        resources: tuple[str, ...],
    ) -> None:
        now = self.clock()
        form = {"refresh_token": token.text, **({} if scope is None else {"scope": " ".join(scope)})}
        asking = self.clients[family.client if client == 0 else 1 - family.client]
        work = self.services.grants.refresh(asking, form, list(resources))
        expected: type[Exception] | None = None
        successor = token.successor
        if len(resources) > 1:
            expected = InvalidTargetError
        elif client == 1 or family.revoked:
            expected = InvalidGrantError
        elif token.used_at is not None and not (
            successor is not None and successor.used_at is None and now - token.used_at <= GRACE
        ):
            expected = InvalidGrantError
            family.revoked = True
        elif token.idle_until <= now and token.used_at is None:
            expected = InvalidGrantError
        elif not set(resources) <= covered(family.resources):
            expected = InvalidTargetError
        elif scope is not None and not set(scope) <= closed(family.scope):
            expected = InvalidScopeError
        if expected is not None:
            with pytest.raises(expected):
                self.do(work)
            return
        self._received(family, self.do(work), scope or family.scope, (*resources, *family.resources)[0], token)

    def _received(
        self,
        family: Family,
        reply: dict[str, Any],
        scope: tuple[str, ...],
        audience: str,
        used: Refresh | None,
    ) -> None:
        now = self.clock()
        assert set(reply["scope"].split()) == set(scope)
        family.access.append(Access(reply["access_token"], scope, audience, now + ACCESS))
        if used is not None and used.successor is not None:
            assert reply["refresh_token"] == used.successor.text, "the grace window gives the same successor"
            return
        token = Refresh(reply["refresh_token"], now + IDLE)
        assert token.text not in {other.text for one in self.known for other in one.refresh}
        if used is not None:
            used.used_at, used.successor = now, token
        family.refresh.append(token)

    @rule(index=SOME, back=SOME)
    def another_client_revokes(self, index: int, back: int) -> None:
        """A client tries to give another one's grant back, which changes nothing."""
        held = self.held(index, back)
        if held is not None:
            self.do(self.services.grants.revoke(self.clients[1 - held[0].client], held[1].text))

    @precondition(lambda self: len(self.known) == MOST)
    @rule(index=SOME, back=SOME)
    def revoke_refresh_token(self, index: int, back: int) -> None:
        """A client gives a grant back."""
        held = self.held(index, back)
        if held is not None:
            self.do(self.services.grants.revoke(self.clients[held[0].client], held[1].text))
            held[0].revoked = True

    @precondition(lambda self: any(family.access for family in self.known))
    @rule(data=st.data(), client=st.integers(0, 1))
    def revoke_access_token(self, data: st.DataObject, client: int) -> None:
        """A client gives one access token back."""
        family = data.draw(st.sampled_from([f for f in self.known if f.access]))
        token = data.draw(st.sampled_from(family.access))
        self.do(self.services.grants.revoke(self.clients[client], token.text))
        alive = token.until > self.clock() and not family.revoked
        token.revoked |= client == family.client and alive

    @rule(seconds=st.sampled_from([1, REPLAY, REPLAY + 1, GRACE + 1]))
    def wait(self, seconds: int) -> None:
        """A little time passes."""
        self.clock.advance(seconds)

    @precondition(lambda self: len(self.known) == MOST)
    @rule(seconds=st.sampled_from([CODE, ACCESS, IDLE]))
    def wait_long(self, seconds: int) -> None:
        """So much time passes that something ends."""
        self.clock.advance(seconds)

    @rule()
    def keep_house(self) -> None:
        """Whatever nobody can use any more leaves, and nobody notices."""
        self.do(Housekeeping(self.services.store, self.clock, sleep=at_once).round())

    @rule()
    def restart(self) -> None:
        """The server stops and starts."""
        self.do(self.stack.aclose())
        self.stack = AsyncExitStack()
        self.do(self._open())

    # What always holds

    @invariant()
    def every_access_token_is_good_exactly_as_long_as_it_should(self) -> None:
        for family in self.known:
            for token in family.access:
                good = token.until > self.clock() and not (family.revoked or token.revoked)
                try:
                    found = self.do(self.services.tokens.verify(token.text))
                except InvalidTokenError:
                    assert not good, "a live token was refused"
                    continue
                assert good, "a token outlived its end or its revocation"
                assert set(found.scope) <= closed(family.scope)
                assert found.audience == token.audience
                assert found.audience in covered(family.resources)

    @invariant()
    def no_family_has_two_live_refresh_tokens(self) -> None:
        if not self.known:
            return
        now = self.clock()

        def live(connection: Connection) -> list[int]:
            statement = (
                select(func.count())
                .select_from(refresh_tokens.join(grants, grants.c.grant_id == refresh_tokens.c.grant_id))
                .where(
                    grants.c.user_id == self.user.user_id,
                    grants.c.revoked_at.is_(None),
                    refresh_tokens.c.used_at.is_(None),
                    refresh_tokens.c.idle_until > now,
                )
                .group_by(refresh_tokens.c.grant_id)
            )
            return list(connection.scalars(statement))

        assert all(count == 1 for count in self.do(self.services.store.read(live)))


BOUNDS = settings(max_examples=30, stateful_step_count=50, deadline=None)


@pytest.mark.requirement("attack-31", "attack-44", "attack-45", "attack-46", "attack-64")
def test_no_sequence_gives_a_right_twice_on_sqlite(sqlite_template: SqliteTemplate) -> None:
    machine = type("SQLite", (GrantMachine,), {"template": sqlite_template})
    run_state_machine_as_test(machine, settings=BOUNDS)


@pytest.mark.requirement("attack-31", "attack-44", "attack-45", "attack-46", "attack-64")
def test_no_sequence_gives_a_right_twice_on_postgresql(postgres: Postgres) -> None:
    with postgres.database() as url:
        machine = type("PostgreSQL", (GrantMachine,), {"url": url})
        run_state_machine_as_test(machine, settings=settings(BOUNDS, max_examples=15))
