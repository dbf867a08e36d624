"""Taking events away by plain SQL, no trigger dropped: the database refuses it, or `audit verify` finds it."""

import asyncio
import base64
import hashlib
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import NullPool, create_engine, delete, insert, text
from sqlalchemy.exc import DBAPIError

from oauth_server.core.housekeeping import Housekeeping
from oauth_server.store import chain, marks, moving
from oauth_server.store.engines import parse_url
from oauth_server.store.errors import StoreError
from oauth_server.store.migrate import bring_to
from oauth_server.store.records import AuditEvent
from oauth_server.store.schema import audit, audit_anchors, audit_heads
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit as verbs
from tests.support.clock import ManualClock, at_once
from tests.support.tampering import tamper

DAY = 86_400.0
REFUSED = "the audit log is append-only"
OLD, YOUNG = 6, 14  # events that are past their time, and that are not
ANCHOR_AT = "SELECT lane, position, hash FROM audit WHERE position = {}"


class Attacker:
    """Somebody with the password of the database, and SQL of their own."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(parse_url(url), poolclass=NullPool)

    def run(self, *statements: str) -> str | None:
        """Run statements in one transaction; why the database refused one."""
        try:
            with self._engine.begin() as connection:
                for statement in statements:
                    connection.execute(text(statement))
        except DBAPIError as error:
            return str(error.orig)
        return None


@pytest.fixture
def attacker(empty_database: str, store: Store) -> Iterator[Attacker]:
    found = Attacker(empty_database)
    yield found
    found._engine.dispose()


async def fill(store: Store, days: int = 30) -> None:
    """A log of six events of 40 days ago, and fourteen of the last days, kept for so many days."""
    now = time.time()
    ages = [40 * DAY] * OLD + [(YOUNG - n) * DAY for n in range(YOUNG)]
    for number, age in enumerate(ages):
        await store.write(verbs.append, AuditEvent("login", "success", f"person {number}", at=now - age))
    await Housekeeping(store, time.time, sleep=at_once, audit_days=days).round()


async def kept(store: Store) -> int:
    found = await store.read(chain.check, time.time())
    assert found.broken is None, found.broken
    return found.events


@pytest.mark.parametrize("into", ["INSERT OR REPLACE INTO audit_anchors", "UPDATE", "DELETE and INSERT"])
async def test_the_start_cannot_be_taken_away_before_its_time(
    store: Store, empty_database: str, attacker: Attacker, into: str
) -> None:
    await fill(store)
    mark = (await store.read(chain.check, time.time())).mark
    newest = max(mark.positions) - 2
    place = ANCHOR_AT.format(newest)
    moved = {
        "INSERT OR REPLACE INTO audit_anchors": [
            f"INSERT OR REPLACE INTO audit_anchors {place}"
            if store.engine_name == "sqlite"
            else f"INSERT INTO audit_anchors {place} ON CONFLICT (lane) DO UPDATE "
            "SET position = excluded.position, hash = excluded.hash"
        ],
        "UPDATE": [f"UPDATE audit_anchors SET (lane, position, hash) = ({place})"],  # noqa: S608
        "DELETE and INSERT": ["DELETE FROM audit_anchors", f"INSERT INTO audit_anchors {place}"],
    }[into]
    refused = attacker.run(*moved, f"DELETE FROM audit WHERE position <= {newest}")  # noqa: S608
    assert REFUSED in (refused or "it was done")
    found = moving.check_log(empty_database, time.time(), mark)
    assert (found.broken, found.contains, found.events) == (None, True, YOUNG + 2)


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM audit WHERE position <= 8"],
        ["DELETE FROM audit WHERE position >= 18"],
        ["DELETE FROM audit"],
        ["DELETE FROM audit_anchors"],
        ["DELETE FROM audit_heads"],
        ["DELETE FROM audit_heads WHERE lane = 0", "DELETE FROM audit_anchors WHERE lane = 0", "DELETE FROM audit"],
        ["UPDATE audit_anchors SET position = 0"],
        ["UPDATE audit_anchors SET position = position + 1"],
        ["UPDATE audit_anchors SET lane = 1"],
        ["UPDATE audit_anchors SET hash = (SELECT hash FROM audit WHERE position = 9)"],
        ["INSERT INTO audit_anchors (lane, position, hash) VALUES (1, 7, (SELECT hash FROM audit WHERE position = 7))"],
        ["UPDATE audit_heads SET position = 15, hash = (SELECT hash FROM audit WHERE position = 15)"],
        ["UPDATE audit_heads SET lane = 1"],
        ["INSERT INTO audit_legacy_anchors (lane, position) VALUES (0, 12)"],
        ["UPDATE audit SET at = at - 4000000"],
        ["UPDATE audit SET event = 'audit.retention', detail = '1 days' WHERE position = 20"],
    ],
    ids=str,
)
async def test_no_part_of_the_log_can_be_moved_or_taken_away(
    store: Store, attacker: Attacker, statements: list[str]
) -> None:
    await fill(store)
    assert REFUSED in (attacker.run(*statements) or "it was done")
    assert await kept(store) == YOUNG + 2


async def test_a_row_cannot_be_replaced_by_its_key(store: Store, attacker: Attacker) -> None:
    if store.engine_name == "postgresql":
        return  # which has no statement that does so without an update
    await fill(store)
    names = "id, at, event, outcome, actor, client_id, address, detail, lane, position, hash, request_id"
    ((newest,),) = [
        tuple(row) for row in attacker._engine.connect().execute(text("SELECT max(id) FROM audit")).fetchall()
    ]
    forged = AuditEvent("login", "success", "somebody else", at=time.time())
    before = "(SELECT hash FROM audit WHERE position = 20)"
    with attacker._engine.connect() as connection:
        (digest,) = connection.execute(text(f"SELECT {before}")).one()
    mine = chain.link(digest, 0, 21, chain.encoded(forged)).hex()
    values = f"{newest}, {forged.at!r}, 'login', 'success', 'somebody else', '', '', '', 0, 21, x'{mine}', ''"
    assert REFUSED in (attacker.run(f"REPLACE INTO audit ({names}) VALUES ({values})") or "it was done")  # noqa: S608
    head = f"REPLACE INTO audit_heads VALUES (0, 0, x'{bytes(32).hex()}')"  # noqa: S608
    assert REFUSED in (attacker.run(head) or "it was done")
    assert await kept(store) == YOUNG + 2


async def test_a_temporary_table_does_not_stand_for_the_log(store: Store, attacker: Attacker) -> None:
    await fill(store)
    refused = attacker.run(
        "CREATE TEMPORARY TABLE audit_anchors AS SELECT lane, 18 AS position, hash FROM audit WHERE position = 18",
        f"DELETE FROM {'main' if store.engine_name == 'sqlite' else 'public'}.audit WHERE position <= 18",  # noqa: S608
    )
    assert REFUSED in (refused or "it was done")
    own = "main" if store.engine_name == "sqlite" else "public"
    refused = attacker.run(
        f"CREATE TEMPORARY TABLE audit AS SELECT id, event, detail, lane, position, hash, at - 4000000 AS at FROM {own}.audit",  # noqa: S608
        f"UPDATE {own}.audit_anchors SET position = 18, hash = (SELECT hash FROM {own}.audit WHERE position = 18)",  # noqa: S608
        f"DELETE FROM {own}.audit WHERE position <= 18",  # noqa: S608
    )
    assert REFUSED in (refused or "it was done")
    assert await kept(store) == YOUNG + 2


@pytest.mark.parametrize("table", ["audit", "audit_heads", "audit_anchors", "audit_legacy_anchors"])
async def test_no_table_of_the_log_can_be_truncated(store: Store, attacker: Attacker, table: str) -> None:
    if store.engine_name == "sqlite":
        return  # which has no such statement
    await fill(store)
    assert REFUSED in (attacker.run(f"TRUNCATE {table}") or "it was done")
    assert await kept(store) == YOUNG + 2


async def test_where_events_are_kept_for_ever_none_can_leave(store: Store, attacker: Attacker) -> None:
    await fill(store, days=0)
    place = ANCHOR_AT.format(3)
    assert REFUSED in (attacker.run(f"INSERT INTO audit_anchors {place}") or "it was done")
    assert await kept(store) == OLD + YOUNG + 1


async def test_a_shorter_time_is_an_event_of_the_log_and_shown(store: Store, attacker: Attacker) -> None:
    await fill(store)
    now = time.time()
    forged = AuditEvent("audit.retention", "success", detail="5 days, 30 before", at=now)
    await store.write(verbs.append, forged)
    found = await store.read(chain.check, now)
    assert found.broken is None
    assert [days for _, days in found.retention] == [30, 5]
    # What it says about the time before must be what the log itself said.
    await store.write(verbs.append, AuditEvent("audit.retention", "success", detail="30 days, 9 before", at=now))
    found = await store.read(chain.check, now)
    assert "says that events were kept for 9 days" in (found.broken or "")


async def test_with_the_triggers_dropped_the_age_of_the_oldest_event_tells(
    store: Store, empty_database: str, attacker: Attacker
) -> None:
    await fill(store)
    noted = (await store.read(chain.check, time.time())).mark
    place = ANCHOR_AT.format(12)
    tamper(
        empty_database,
        "DELETE FROM audit_anchors",
        f"INSERT INTO audit_anchors {place}",
        "DELETE FROM audit WHERE position <= 12",
    )
    found = moving.check_log(empty_database, time.time(), noted)
    assert found.broken == "the oldest of lane 0 are missing, up to a time at which events were still to be kept"
    tamper(
        empty_database,
        "DELETE FROM audit_anchors",
        "INSERT INTO audit_anchors SELECT * FROM audit_heads",
        "DELETE FROM audit",
    )
    found = moving.check_log(empty_database, time.time(), noted)
    assert found.broken == "all 21 of lane 0 are missing, and one of them is always kept"


async def test_a_clock_that_was_ahead_is_found_by_what_left_too_soon(store: Store, empty_database: str) -> None:
    await fill(store)
    found = moving.check_log(empty_database, time.time() - 60 * DAY)
    assert "still to be kept" in (found.broken or "")


async def test_events_that_left_under_a_shorter_time_left_at_their_time(store: Store, clock: ManualClock) -> None:
    await fill(store)
    for days in (365, 0, 400):
        clock.advance(200)  # the turn of the one before is over
        await Housekeeping(store, clock, sleep=at_once, audit_days=days, steady=clock).round()
        found = await store.read(chain.check, clock())
        assert found.broken is None
        assert found.retention[-1] == (clock(), days)
    assert await store.read(verbs.retention) == (clock(), (400, 0))


async def test_how_long_events_are_kept_is_said_again_before_that_event_leaves(
    store: Store, clock: ManualClock
) -> None:
    now = clock()
    keeping = Housekeeping(store, clock, sleep=at_once, audit_days=20, steady=clock)
    for age in (45, 40, 34, 30, 24, 14, 13, 0):
        clock.now = now - age * DAY
        await store.write(verbs.append, AuditEvent("login", "success", "somebody", at=clock()))
        await keeping.round()
        found = await store.read(chain.check, clock())
        assert found.broken is None
        assert found.retention
    assert [(clock() - at) / DAY for at, _ in found.retention] == [24, 14, 0]


async def test_each_lane_keeps_the_event_that_shows_the_age_of_those_that_left(pair: tuple[Store, Store]) -> None:
    old = AuditEvent("login", "success", "somebody", at=time.time() - 40 * DAY)
    await asyncio.gather(*(pair[n % 2].write(verbs.append, old, old, old) for n in range(200)))
    lanes = len((await pair[0].read(chain.check, time.time())).mark.positions)
    assert lanes == 1 if pair[0].engine_name == "sqlite" else lanes > 1
    await fill(pair[0])
    found = await pair[0].read(chain.check, time.time())
    assert found.broken is None
    assert found.events == YOUNG + lanes + 1
    assert len(found.mark.starts or ()) == lanes


async def test_what_left_under_an_earlier_release_is_not_held_against_the_log(
    empty_database: str, clock: ManualClock
) -> None:
    now = time.time()
    with moving._alone(moving.parse_url(empty_database)) as connection:
        bring_to(connection, "0007")
        for lane in (0, 1):
            end = chain.START
            for number in range(4):
                happened = AuditEvent("login", "success", f"person {number}", at=now - (4 - number) * DAY)
                end = chain.End(number + 1, chain.link(end.hash, lane, number + 1, chain.encoded(happened)))
                row = happened._asdict() | {"lane": lane, "position": end.position, "hash": end.hash}
                if number >= 2 and lane == 0:
                    connection.execute(insert(audit).values(row))
                if number == 1 or (number == 3 and lane == 1):
                    connection.execute(delete(audit_anchors).where(audit_anchors.c.lane == lane))
                    connection.execute(insert(audit_anchors).values(lane=lane, position=end.position, hash=end.hash))
            connection.execute(insert(audit_heads).values(lane=lane, position=end.position, hash=end.hash))
    before = moving.check_log(empty_database, now)
    assert (before.broken, before.events, before.mark.positions, before.mark.starts) == (None, 2, (4, 4), (2, 4))
    assert moving.schema_of(empty_database) == "0007"
    store = Store(empty_database)
    try:
        await Housekeeping(store, time.time, sleep=at_once, audit_days=1).round()
        found = await store.read(chain.check, time.time(), before.mark)
        assert (found.broken, found.contains) == (None, True)
    finally:
        store.close()


async def test_the_log_of_a_newer_release_is_refused(store: Store, empty_database: str) -> None:
    await store.write(
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")) and None
    )
    with pytest.raises(StoreError, match="schema 9999, newer than this program knows"):
        moving.check_log(empty_database, time.time())


async def test_the_database_keeps_what_the_clock_of_a_server_calls_old(store: Store) -> None:
    await fill(store)
    ahead = lambda: time.time() + 365 * DAY  # noqa: E731
    await Housekeeping(store, ahead, sleep=at_once, audit_days=30).round()
    found = await store.read(chain.check, time.time())
    assert found.broken is None
    assert found.events >= YOUNG + 2


async def test_a_mark_of_an_earlier_release_is_understood(store: Store) -> None:
    await fill(store)
    found = await store.read(chain.check, time.time())
    end = (await store.read(chain.ends, chain.audit_heads))[0]
    older = hashlib.sha256(marks.PLACE(0, end.position) + end.hash).digest()
    noted = marks.Mark.parse(f"{end.position}:{base64.urlsafe_b64encode(older).decode().rstrip('=')}")
    assert noted.starts is None
    assert (await store.read(chain.check, time.time(), noted)).contains is True
    assert str(found.mark).startswith(f"{end.position}:{OLD - 1}:")
