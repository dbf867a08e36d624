"""What ends at the moment in which something is issued: there is an order, and nobody fails for it.

On PostgreSQL two transactions interleave statement by statement, so each test stops one verb between two statements and
lets the other begin. SQLite runs verbs one after another: there the second begins when the first has ended.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from oauth_server.store import writer
from oauth_server.store.records import Issue, Refusal, Revocation
from oauth_server.store.schema import codes, refresh_tokens
from oauth_server.store.store import Store
from oauth_server.store.verbs import administration, clients, grants, housekeeping, revocations, users
from tests.support.stored import NOW, client, code, count, granted, people, redeem, rotate, sha

Pair = tuple[Store, Store]


@pytest.fixture(autouse=True)
def in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No verb is run in the loop, where one that stops would stop the other as well."""
    monkeypatch.setattr(writer, "MAX_AT_ONCE", 0)


class Halted:
    """Stops the store's next transaction that sends such a statement, before or after it, until it is let go on."""

    def __init__(self, store: Store, statement: str, moment: str) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.released = 0.0
        self._statement, self._moment = statement, f"{moment}_cursor_execute"
        self._engine = store._writer._engine if store._writer is not None else store._write_engine
        event.listen(self._engine, self._moment, self._seen)

    def _seen(self, _connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().startswith(self._statement) and not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(20)

    async def between(self, first: Any, second: Callable[[], Any]) -> tuple[Any, Any]:
        """Begin `first`, let `second` run into it for a moment, and see both to their end."""
        one = asyncio.ensure_future(first)
        await asyncio.to_thread(self.reached.wait, 20)
        other = asyncio.ensure_future(second())
        # It either waits for the first, or has ended: a tenth of a second is no proof of order, only a chance to fail.
        await asyncio.wait((other,), timeout=0.1)
        self.released = time.monotonic()
        self.go_on.set()
        found = await asyncio.wait_for(asyncio.gather(one, other), 20)
        event.remove(self._engine, self._moment, self._seen)
        return tuple(found)  # type: ignore[return-value]


@pytest.mark.requirement("attack-64")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("statement", ["UPDATE codes", "INSERT INTO grants"])
async def test_who_is_disabled_during_a_redemption_keeps_nothing_of_it(pair: Pair, statement: str, moment: str) -> None:
    await people(pair[0])
    await pair[0].write(grants.add_code, code())
    halted = Halted(pair[0], statement, moment)
    disable = lambda: pair[1].write(administration.disable, "id-of-alice", NOW, NOW + 9)  # noqa: E731
    issue, _ = await halted.between(redeem(pair[0]), disable)
    assert isinstance(issue, Issue)  # it came first
    assert await pair[0].read(grants.live, NOW, 10) == []
    assert await rotate(pair[0], "r1", "r2") == Refusal("revoked", "grant-of-code-1")
    (entry,) = await pair[0].read(revocations.find, [("user", "id-of-alice")])
    assert entry.revoked_at == NOW + 9  # so the access token that is about to be signed is refused whatever its date


@pytest.mark.requirement("attack-64")
async def test_who_redeems_while_being_disabled_gets_nothing(pair: Pair) -> None:
    await people(pair[0])
    await pair[0].write(grants.add_code, code())
    halted = Halted(pair[1], "DELETE FROM codes", "before")
    disable = pair[1].write(administration.disable, "id-of-alice", NOW, NOW + 9)
    _, refusal = await halted.between(disable, lambda: redeem(pair[0]))
    assert isinstance(refusal, Refusal)
    assert await pair[0].read(grants.live, NOW, 10) == []


@pytest.mark.requirement("attack-64")
@pytest.mark.parametrize("refreshed", [True, False])
async def test_what_is_issued_while_a_ceiling_is_lowered_is_within_it_or_ends(pair: Pair, refreshed: bool) -> None:
    await people(pair[0])
    if refreshed:
        await granted(pair[0])
    else:
        await pair[0].write(grants.add_code, code())
    halted = Halted(pair[0], "UPDATE refresh_tokens" if refreshed else "INSERT INTO grants", "before")
    moments = []

    def clock() -> float:
        moments.append(time.monotonic())
        return NOW + 1

    lower = lambda: pair[1].write(users.set_scope, "id-of-alice", ("mcp:read",), clock, 9)  # noqa: E731
    issue, ended = await halted.between(rotate(pair[0]) if refreshed else redeem(pair[0]), lower)
    assert isinstance(issue, Issue)
    assert "mcp:write" in issue.scope
    assert ended == ["c1"]
    (entry,) = await pair[0].read(revocations.find, [("grant", "grant-of-code-1")])
    assert entry.revoked_at == NOW + 1
    # The moment up to which tokens end was taken when nothing could be issued within the old ceiling any more.
    assert len(moments) == 1
    assert moments[0] >= halted.released
    assert len(await pair[0].read(grants.live, NOW, 10)) == 1


@pytest.mark.requirement("attack-64")
async def test_who_refreshes_while_the_ceiling_is_being_lowered_gets_what_is_within_it(pair: Pair) -> None:
    await people(pair[0])
    await granted(pair[0])
    halted = Halted(pair[1], "UPDATE users", "after")
    lower = pair[1].write(users.set_scope, "id-of-alice", ("mcp:read",), lambda: NOW, 9)
    _, issue = await halted.between(lower, lambda: rotate(pair[0]))
    assert isinstance(issue, Issue)
    assert "mcp:write" not in issue.scope


@pytest.mark.requirement("attack-54")
async def test_a_code_for_a_client_that_is_being_deleted_is_not_issued(pair: Pair) -> None:
    await people(pair[0])
    halted = Halted(pair[1], "DELETE FROM clients", "after")
    given = ("id-of-alice", "c1", "http://localhost/cb", ("r",), ("mcp:read",))
    deleting = pair[1].write(clients.remove, "c1", NOW + 9)
    issuing = lambda: pair[0].write(grants.add_code_and_consent, code(), given, NOW)  # noqa: E731
    assert await halted.between(deleting, issuing) == (True, False)
    assert await pair[0].read(count, codes) == 0


@pytest.mark.requirement("attack-54")
async def test_a_code_that_was_issued_first_leaves_with_the_deleted_client(pair: Pair) -> None:
    await people(pair[0])
    halted = Halted(pair[0], "INSERT INTO codes", "before")
    issuing = pair[0].write(grants.add_code_and_consent, code(), None, NOW)
    assert await halted.between(issuing, lambda: pair[1].write(clients.remove, "c1", NOW + 9)) == (True, True)
    assert await pair[0].read(count, codes) == 0


async def test_no_code_is_issued_for_a_person_who_was_disabled_or_a_client_that_is_gone(store: Store) -> None:
    await people(store)
    await store.write(users.set_disabled, "id-of-alice", True, NOW, NOW + 9)
    assert not await store.write(grants.add_code_and_consent, code(), None, NOW)
    assert not await store.write(grants.add_code_and_consent, code(user_id="id-of-bob", client_id="c9"), None, NOW)
    assert await store.read(count, codes) == 0


async def test_a_reuse_or_replay_and_a_disabling_at_once_do_not_wait_for_each_other(pair: Pair) -> None:
    await people(pair[0])
    await granted(pair[0])
    await rotate(pair[0], "r1", "r2")
    halted = Halted(pair[0], "UPDATE grants", "after")  # a reuse ends the grant, and is about to take the epoch
    disable = lambda: pair[1].write(administration.disable, "id-of-alice", NOW + 40, NOW + 90)  # noqa: E731
    refusal, _ = await halted.between(rotate(pair[0], "r1", "r3", now=NOW + 40), disable)
    assert refusal == Refusal("reused", "grant-of-code-1", grant_revoked=True)


async def test_housekeeping_and_a_refresh_of_a_dead_token_do_not_wait_for_each_other(pair: Pair) -> None:
    await people(pair[0])
    await granted(pair[0])
    halted = Halted(pair[1], "DELETE FROM grants", "before")
    late = NOW + 20_000
    keeping = pair[1].write(housekeeping.ended_grants, late, 10)
    # A batch first takes codes, then the grants with their current refresh tokens.
    assert await pair[0].write(housekeeping.ended_grants, late, 10) == 1
    gone, refusal = await halted.between(keeping, lambda: rotate(pair[0], now=late))
    assert (gone, refusal) == (1, Refusal("unknown"))
    assert await pair[0].read(count, refresh_tokens) == 0


@pytest.mark.requirement("attack-64")
async def test_a_revocation_between_two_statements_of_a_look_is_not_missed(pair: Pair) -> None:
    first = [Revocation("token", "one", NOW, NOW + 9)]
    second = [Revocation("token", "two", NOW, NOW + 9)]
    await pair[0].write(revocations.revoke, first)
    seen: set[str] = set()
    other = pair[1]
    done = threading.Event()

    def interrupt(_connection: Connection, *_: object) -> None:
        if not done.is_set():  # after the first statement of the look
            done.set()
            with other._write_engine.begin() as connection:
                revocations.revoke(connection, second)

    engine = pair[0]._read_engine
    event.listen(engine, "after_cursor_execute", interrupt)
    known = revocations.BEGINNING
    for _ in range(2):
        found = await pair[0].read(revocations.since, known, NOW, 9)
        known = found.known
        seen |= {value for _, value, _ in found.entries}
    event.remove(engine, "after_cursor_execute", interrupt)
    assert seen == {"one", "two"}


@pytest.mark.requirement("attack-64")
@pytest.mark.parametrize("source", ["configured", "document"])
async def test_a_client_that_comes_back_has_access_tokens_from_then_on(store: Store, source: str) -> None:
    back = client("c9", source=source)
    await people(store)
    await store.write(clients.add, back)
    assert await store.write(clients.remove, "c9", NOW + 9)
    (entry,) = await store.read(revocations.find, [("client", "c9")])
    assert entry.revoked_at == NOW + 9
    if source == "configured":
        await store.write(clients.configure, back, NOW + 1, NOW + 9)
    else:
        of_document = code(client_id="c9", document=sha("document"))
        assert await store.write(grants.add_code_and_consent, of_document, None, NOW + 1, back)
    (entry,) = await store.read(revocations.find, [("client", "c9")])
    assert entry.revoked_at == NOW + 1
