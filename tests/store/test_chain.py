"""The chain of the audit log: whatever is changed in it is found, whoever writes it at once, and what may leave leaves."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from oauth_server.core.housekeeping import BATCH, Housekeeping
from oauth_server.store import chain, marks, moving
from oauth_server.store.migrate import HEAD, bring_to
from oauth_server.store.records import AuditEvent
from oauth_server.store.schema import audit, audit_anchors, audit_heads
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit as verbs
from oauth_server.store.verbs import meta
from oauth_server.store.verbs.housekeeping import take_turn
from tests.support.clock import ManualClock, at_once
from tests.support.stored import NOW, count
from tests.support.tampering import unguard

ROOT = Path(__file__).parents[2]
LANES, EACH = 3, 5
PAST = 1_700_000_000.0  # by the clock of the database, at which events leave
TEXTS = ("event", "outcome", "actor", "client_id", "address", "detail", "request_id")


def happened(number: int, **fields: Any) -> AuditEvent:
    values: dict[str, Any] = {"event": "login", "outcome": "success", "actor": f"alice {number}", "at": NOW + number}
    return AuditEvent(**{**values, **fields})


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A database in memory whose log has 15 events in three lanes, without its guards."""
    found = create_engine("sqlite://")
    with found.begin() as connection:
        bring_to(connection, HEAD)
        unguard(connection)
        for number in range(LANES * EACH):
            _write_in(connection, number % LANES, happened(number))
    yield found
    found.dispose()


def _write_in(connection: Connection, lane: int, event: AuditEvent) -> None:
    end = chain.ends(connection, audit_heads).get(lane, marks.START)
    position, digest = end.position + 1, chain.link(end.hash, lane, end.position + 1, chain.encoded(event))
    said = {name: getattr(event, name) for name in (*TEXTS, "at")}
    connection.execute(insert(audit).values(lane=lane, position=position, hash=digest, **said))
    connection.execute(delete(audit_heads).where(audit_heads.c.lane == lane))
    connection.execute(insert(audit_heads).values(lane=lane, position=position, hash=digest))


def ids() -> st.SearchStrategy[int]:
    return st.integers(1, LANES * EACH)


def other(value: Any) -> st.SearchStrategy[Any]:
    """Anything that a column can have instead."""
    if isinstance(value, str):
        return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=9)
    if isinstance(value, float):
        return st.floats(allow_nan=False)
    if isinstance(value, bytes):
        return st.binary(min_size=32, max_size=32)
    return st.integers(0, 20)


@pytest.fixture(scope="module")
def changed(engine: Engine) -> Callable[[Callable[[Connection], None]], chain.Checked]:
    """What a check finds after a change, which is taken back."""

    def check(change: Callable[[Connection], None]) -> chain.Checked:
        with engine.connect() as connection, connection.begin() as transaction:
            change(connection)
            found = chain.check(connection, NOW + 20)
            transaction.rollback()
        return found

    return check


def test_an_untouched_log_is_right(changed: Any) -> None:
    found = changed(lambda _: None)
    assert (found.broken, found.events, found.oldest, found.newest) == (None, 15, NOW, NOW + 14)


@given(data=st.data())
def test_any_value_of_any_row_that_is_changed_is_found(changed: Any, data: st.DataObject) -> None:
    number, name = data.draw(ids()), data.draw(st.sampled_from([*TEXTS, "at", "lane", "position", "hash"]))

    def change(connection: Connection) -> None:
        row = connection.execute(select(audit).where(audit.c.id == number)).one()
        value = data.draw(other(row._mapping[name]).filter(lambda found: found != row._mapping[name]))
        connection.execute(update(audit).where(audit.c.id == number).values({name: value}))

    assert changed(change).broken is not None


@given(first=ids(), last=ids())
def test_any_rows_that_are_taken_away_are_found(changed: Any, first: int, last: int) -> None:
    which = audit.c.id.between(min(first, last), max(first, last))
    assert changed(lambda connection: connection.execute(delete(audit).where(which))).broken is not None


@given(lane=st.integers(1, LANES), places=st.permutations(range(EACH)))
def test_any_two_rows_of_a_lane_that_change_places_are_found(changed: Any, lane: int, places: list[int]) -> None:
    one, another = (place * LANES + lane for place in places[:2])

    def swap(connection: Connection) -> None:
        for was, becomes in ((one, -1), (another, one), (-1, another)):
            connection.execute(update(audit).where(audit.c.id == was).values(id=becomes))

    assert changed(swap).broken is not None


def test_lanes_that_change_places_with_their_heads_are_found(changed: Any) -> None:
    def swap(connection: Connection) -> None:
        for table in ("audit", "audit_heads"):
            for was, becomes in ((1, 9), (2, 1), (9, 2)):
                connection.execute(text(f"UPDATE {table} SET lane = {becomes} WHERE lane = {was}"))  # noqa: S608

    assert "does not say what was recorded" in changed(swap).broken


@given(event=st.builds(happened, st.integers(0, 99)), lane=st.integers(0, LANES), after=ids(), data=st.data())
def test_any_row_that_is_added_is_found(
    changed: Any, event: AuditEvent, lane: int, after: int, data: st.DataObject
) -> None:
    def add(connection: Connection) -> None:
        connection.execute(update(audit).where(audit.c.id > after).values(id=audit.c.id + 100))
        before = data.draw(st.sampled_from([*connection.execute(select(audit.c.hash)).scalars()]))
        position = data.draw(st.integers(0, EACH + 2))
        digest = chain.link(before, lane, position, chain.encoded(event))
        said = {name: getattr(event, name) for name in (*TEXTS, "at")}
        connection.execute(insert(audit).values(id=after + 1, lane=lane, position=position, hash=digest, **said))

    assert changed(add).broken is not None


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM audit WHERE id > 12", "the newest 1 of lane 0 are missing, after position 4"),
        ("DELETE FROM audit WHERE id = 4", "1 before event 7 (lane 0, position 3) are missing"),
        ("UPDATE audit SET position = 1 WHERE id = 4", "event 4 (lane 0, position 1) stands where another one stood"),
        ("UPDATE audit SET actor = x'ff' WHERE id = 4", "event 4 (lane 0, position 2) does not say what was recorded"),
        (
            "UPDATE audit SET client_id = substr(actor, -1), actor = substr(actor, 1, length(actor) - 1) WHERE id = 4",
            "event 4 (lane 0, position 2) does not say what was recorded",  # the same letters, in other fields
        ),
        ("UPDATE audit SET at = 'x' WHERE id = 4", "event 4 (lane 0, position 2) does not say what was recorded"),
        ("UPDATE audit SET position = 'x' WHERE id = 4", "event 4 (lane 0, position x) does not say what was recorded"),
        ("DELETE FROM audit_heads WHERE lane = 1", "event 2 (lane 1, position 1) is in a lane that has no head"),
        ("DELETE FROM audit_heads", "event 1 (lane 0, position 1) is in a lane that has no head"),
        ("UPDATE audit_heads SET position = 4 WHERE lane = 2", "the head of lane 2 is not that of its last event"),
        ("UPDATE audit_heads SET hash = x'00'", "the head of lane 0 is not that of its last event"),
        ("UPDATE audit_heads SET position = 'x'", "the head of lane 0 is not that of its last event"),
        ("UPDATE audit_heads SET hash = 'x'", "the head of lane 0 is not that of its last event"),
        ("INSERT INTO audit_anchors VALUES (0, 'x', x'00')", "1 before event 1 (lane 0, position 1) are missing"),
        ("UPDATE audit_heads SET lane = 9 WHERE lane = 2", "event 3 (lane 2, position 1) is in a lane that has no"),
        ("INSERT INTO audit_heads VALUES (7, 0, x'00')", "the heads of some lanes are missing"),
        ("INSERT INTO audit_anchors VALUES (7, 0, x'00')", "the heads of some lanes are missing"),
        ("INSERT INTO audit_anchors VALUES (0, 3, x'00')", "event 1 (lane 0, position 1) stands where another one"),
    ],
)
def test_what_is_wrong_is_told(changed: Any, statement: str, told: str) -> None:
    assert (changed(lambda connection: connection.execute(text(statement))).broken or "").startswith(told)


def test_a_mark_is_part_of_the_log_that_grew_from_it_and_of_no_other(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        mark = chain.check(connection, NOW + 20).mark
        for number in range(7):
            _write_in(connection, number % (LANES + 1), happened(100 + number))
        found = chain.check(connection, NOW + 20, mark)
        assert (found.broken, found.contains) == (None, True)
        assert chain.check(connection, NOW + 20, found.mark).contains is True
        transaction.rollback()
    assert marks.Mark.parse(str(mark)) == mark
    with engine.connect() as connection, connection.begin() as transaction:
        ahead = marks.Mark((*mark.positions[:2], mark.positions[2] + 1), mark.digest, mark.starts)
        assert chain.check(connection, NOW + 20, ahead).contains is False
        assert (
            chain.check(connection, NOW + 20, marks.Mark((*mark.positions, 1), mark.digest, (0,) * 4)).contains is False
        )
        connection.execute(delete(audit))
        connection.execute(delete(audit_heads))
        for number in range(LANES * EACH):  # the whole log, written anew without one of its events
            _write_in(connection, number % LANES, happened(number + (number == 7)))
        found = chain.check(connection, NOW + 20, mark)
        assert (found.broken, found.contains) == (None, False)
        transaction.rollback()


@pytest.mark.parametrize("mark", ["", "12", "12:short", f"x:{'A' * 43}", f":{'A' * 43}", f"1.:{'A' * 43}", "1:" * 40])
def test_what_is_no_mark_is_refused(mark: str) -> None:
    with pytest.raises(marks.MarkError, match="a digest of 43 characters"):
        marks.Mark.parse(mark)


async def test_the_database_itself_refuses_to_change_the_log(store: Store) -> None:
    await store.write(verbs.append, *map(happened, range(3)))
    statements = ["UPDATE audit SET actor = 'mallory'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 3"]
    if store.engine_name == "postgresql":
        statements.append("TRUNCATE audit")
    for statement in statements:
        with pytest.raises(DBAPIError, match="the audit log is append-only"):
            await store.write(lambda c, of=statement: c.execute(text(of)) and None)
    found = await store.read(chain.check, time.time())
    assert (found.broken, found.events) == (None, 3)


async def test_a_verb_that_fails_takes_its_events_back_and_nobody_else_s(store: Store) -> None:
    def verb(connection: Connection, number: int) -> None:
        verbs.append(connection, happened(number))
        meta.remember(connection, f"of {number}", "written")
        if number % 3 == 0:
            raise ValueError("no")
        verbs.append(connection, happened(number, event="logout"))

    ended = await asyncio.gather(*(store.write(verb, number) for number in range(30)), return_exceptions=True)
    assert [type(end) for end in ended[:3]] == [ValueError, type(None), type(None)]
    with pytest.raises(UnicodeEncodeError):
        await store.write(verbs.append, happened(1), happened(2, detail="\ud800"))
    found = await store.read(chain.check, time.time())
    assert (found.broken, found.events) == (None, 40)
    rows = await store.read(verbs.newest, 100)
    assert {int(row.actor.split()[1]) % 3 for row in rows} == {1, 2}


async def test_many_writers_at_once_keep_every_lane_right(pair: tuple[Store, Store]) -> None:
    writes = (pair[n % 2].write(verbs.append, *map(happened, range(n, n + 1 + n % 3))) for n in range(300))
    await asyncio.gather(*writes)
    found = await pair[0].read(chain.check, time.time())
    assert (found.broken, found.events) == (None, 600)
    lanes = len(found.mark.positions)
    assert lanes == 1 if pair[0].engine_name == "sqlite" else 1 < lanes <= verbs.LANES


async def test_a_transaction_that_is_not_over_keeps_nobody_waiting(pair: tuple[Store, Store]) -> None:
    if pair[0].engine_name == "sqlite":
        return  # one transaction at a time writes
    await pair[0].write(verbs.append, happened(0))
    started, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(connection: Connection) -> None:
        connection.execute(select(audit_heads).with_for_update())
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(30)

    waiting = asyncio.create_task(pair[0].write(slow))
    await started.wait()
    for number in range(5):
        await asyncio.wait_for(pair[1].write(verbs.append, happened(number)), 10)
    release.set()
    await waiting
    found = await pair[0].read(chain.check, time.time())
    assert (found.broken, found.events, found.mark.positions) == (None, 6, (1, 5))


async def test_when_every_lane_is_taken_the_next_one_waits_for_one(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "LANES", 2)
    await asyncio.gather(*(store.write(verbs.append, happened(n)) for n in range(40) for store in pair))
    found = await pair[0].read(chain.check, time.time())
    assert (found.broken, found.events) == (None, 80)
    assert len(found.mark.positions) <= 2


WRITER = """
import asyncio, sys
from oauth_server.store.records import AuditEvent
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit

async def main(url, name):
    store = Store(url)
    for n in range(10**6):
        await asyncio.gather(*(store.write(audit.append, AuditEvent("login", "success", name)) for _ in range(20)))
        print(20 * (n + 1), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_that_are_killed_while_they_write_leave_a_log_that_is_right(
    store: Store, empty_database: str
) -> None:
    pipe = asyncio.subprocess.PIPE
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, empty_database, name, cwd=ROOT, stdout=pipe, stderr=pipe
        )
        for name in ("one", "other")
    ]
    told = [0, 0]
    for turn in range(6):
        for number, process in enumerate(started):
            assert process.stdout is not None
            told[number] = int(await asyncio.wait_for(process.stdout.readline(), 60) or told[number])
        if turn == 4:
            started[0].send_signal(signal.SIGKILL)
    started[1].send_signal(signal.SIGKILL)
    for process in started:
        await process.communicate()
    found = await store.read(chain.check, time.time())
    assert found.broken is None
    assert found.events >= sum(told)
    await store.write(verbs.append, happened(1))
    assert (await store.read(chain.check, time.time())).broken is None


KEPT_A_DAY = AuditEvent("audit.retention", "success", detail="1 days", at=PAST - 1)


async def test_old_events_leave_and_the_rest_goes_on_from_an_anchor(store: Store) -> None:
    assert await store.write(verbs.past_events, PAST + 99, 100) == 0  # nothing says for how long events are kept
    for number in range(9):
        await store.write(verbs.append, happened(number, at=PAST + number))
    await store.write(verbs.append, KEPT_A_DAY)
    mark = (await store.read(chain.check, time.time())).mark
    assert await store.write(verbs.past_events, PAST + 3, 3) == 2
    assert await store.write(verbs.past_events, PAST + 3, 100) == 1
    assert await store.write(verbs.past_events, PAST + 3, 100) == 0
    found = await store.read(chain.check, time.time(), mark)
    assert (found.broken, found.events, found.oldest, found.contains) == (None, 7, PAST - 1, True)
    await store.write(verbs.append, KEPT_A_DAY._replace(at=PAST + 20))
    with pytest.raises(DBAPIError, match="append-only"):
        await store.write(lambda c: c.execute(delete(audit)) and None)
    assert await store.write(verbs.past_events, PAST + 99, 100) == 6
    found = await store.read(chain.check, time.time(), mark)
    assert (found.broken, found.events, found.mark.positions, found.contains) == (None, 2, (11,), True)
    for _ in range(2):
        await store.write(verbs.append, KEPT_A_DAY._replace(at=PAST + 21))
        await store.write(verbs.past_events, PAST + 99, 100)
    found = await store.read(chain.check, time.time(), mark)
    assert (found.broken, found.events, found.mark.positions, found.contains) == (None, 2, (13,), None)
    await store.write(verbs.append, happened(10))
    found = await store.read(chain.check, time.time())
    assert (found.broken, found.mark.positions, found.mark.starts) == (None, (14,), (11,))
    assert await store.read(count, audit_anchors) == 1


async def test_an_event_stays_while_one_before_it_has_to(store: Store) -> None:
    await store.write(verbs.append, happened(0, at=PAST + 50), happened(1, at=PAST), happened(2, at=PAST), KEPT_A_DAY)
    assert await store.write(verbs.past_events, PAST + 10, 100) == 0
    assert await store.write(verbs.past_events, PAST + 50, 100) == 2


@pytest.mark.parametrize(("days", "left"), [(30, 3), (31, BATCH + 3), (0, BATCH + 3)])
async def test_housekeeping_keeps_events_as_long_as_the_operator_says(
    store: Store, clock: ManualClock, days: int, left: int
) -> None:
    await store.write(verbs.append, *(happened(0, at=clock() - 30 * 86_400 - 1) for _ in range(BATCH + 1)))
    await store.write(verbs.append, happened(0, at=clock()))
    await Housekeeping(store, clock, sleep=at_once, audit_days=days).round()
    found = await store.read(chain.check, time.time())
    assert (found.broken, found.events) == (None, left)
    assert not await store.write(take_turn, "somebody else", clock(), 180)


async def test_events_of_an_earlier_release_are_chained_by_the_migration(empty_database: str) -> None:
    with moving._alone(moving.parse_url(empty_database)) as connection:
        bring_to(connection, "0005")
        columns = "at, event, outcome, actor, client_id, address, detail"
        rows = [{"at": NOW + n / 7, "actor": f"naïve {n} 名"} for n in range(2501)]
        older = f"INSERT INTO audit ({columns}) VALUES (:at, 'login', 'success', :actor, '', 'local', '')"  # noqa: S608
        connection.execute(text(older), rows)
        connection.execute(text("DELETE FROM audit WHERE id = 7"))  # nothing is missing from before there was a chain
    store = Store(empty_database)
    try:
        await store.write(verbs.append, happened(1))
        found = await store.read(chain.check, time.time())
        assert (found.broken, found.events, found.mark.positions) == (None, 2501, (2501,))
        assert [row.actor for row in await store.read(verbs.newest, 2)] == ["alice 1", "naïve 2500 名"]
    finally:
        store.close()


async def test_a_first_start_of_an_earlier_release_without_events_has_no_lane(empty_database: str) -> None:
    with moving._alone(moving.parse_url(empty_database)) as connection:
        bring_to(connection, "0005")
    store = Store(empty_database)
    found = await store.read(chain.check, time.time())
    store.close()
    assert (found.broken, found.events, found.mark.positions) == (None, 0, ())
