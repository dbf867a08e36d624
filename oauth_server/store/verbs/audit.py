"""The audit log: a row for each security event, written in the commit of the event, chained to the row before it."""

import random
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from oauth_server.store.at_once import by_key
from oauth_server.store.chain import encoded, link
from oauth_server.store.guards import OLDEST, lets_go
from oauth_server.store.marks import START
from oauth_server.store.records import AuditEvent
from oauth_server.store.retention import Retention
from oauth_server.store.schema import RETENTION, audit, audit_anchors, audit_heads
from oauth_server.store.statements import Statement
from oauth_server.store.verbs.upsert import insert_if_absent, put

P = ParamSpec("P")
T = TypeVar("T")
LANES: Final = 16  # at most: so many transactions of a PostgreSQL server commit events without waiting for one another
_PENDING: Final = "pending audit events"  # in the `info` of a connection
_FIELDS: Final = AuditEvent._fields
_SAID: Final = attrgetter(*_FIELDS)
_ROW: Final = (*_FIELDS, "lane", "position", "hash")
_INSERT: Final = Statement(insert(audit).inline().values({name: bindparam(name) for name in _ROW}))
_HEAD = select(audit_heads.c.lane, audit_heads.c.position, audit_heads.c.hash)
_FREE: Final = Statement(_HEAD.order_by(audit_heads.c.lane).limit(1).with_for_update(skip_locked=True))
_TAKEN: Final = Statement(_HEAD.where(audit_heads.c.lane == bindparam("of")).with_for_update())


class Pending(NamedTuple):
    """An event that happened in the transaction under way, and its encoding."""

    event: AuditEvent
    encoding: bytes


@contextmanager
def recording(connection: Connection) -> Iterator[list[Pending]]:
    """Write what verbs record, as the last thing before the commit; yields it, for whoever takes some back.

    So the lock of a lane's head is the last one a transaction takes, and it is held for the commit alone.
    """
    pending: list[Pending] = []
    info = connection.info  # asked for once: a connection that was lost meanwhile does not say any more
    info[_PENDING] = pending
    try:
        yield pending
        if pending:
            _write(connection, pending)
    finally:
        info.pop(_PENDING, None)


@by_key
def append(connection: Connection, *events: AuditEvent) -> None:
    """Record events, in the commit of the transaction under way."""
    connection.info[_PENDING].extend(Pending(event, encoded(event)) for event in events)


def recorded(
    connection: Connection,
    describe: Callable[[T], AuditEvent | None],
    verb: Callable[Concatenate[Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run a verb and record what `describe` makes of its outcome (None: nothing), in the same commit."""
    outcome = verb(connection, *args, **kwargs)
    happened = describe(outcome)
    if happened is not None:
        append(connection, happened)
    return outcome


def _write(connection: Connection, pending: list[Pending]) -> None:
    free = _FREE.first(connection)
    lane, position, digest = _another_lane(connection) if free is None else free.values()
    rows = []
    for event, encoding in pending:
        position += 1
        digest = link(digest, lane, position, encoding)
        rows.append(dict(zip(_ROW, (*_SAID(event), lane, position, digest), strict=True)))
    _INSERT.run_each(connection, rows)  # a trigger moves the head


def _another_lane(connection: Connection) -> tuple[int, int, bytes]:
    """All lanes are taken: begin one more, or wait for one of them."""
    lanes = connection.execute(select(func.count()).select_from(audit_heads)).scalar_one()
    begun = {"lane": lanes, "position": START.position, "hash": START.hash}
    if lanes < LANES and insert_if_absent(connection, audit_heads, begun):
        return lanes, *START
    any_of_them = random.randrange(max(1, lanes))  # noqa: S311 - spreads those who wait
    taken = _TAKEN.first(connection, of=any_of_them)
    assert taken is not None  # noqa: S101 - lanes are never removed
    return taken["lane"], taken["position"], taken["hash"]


def newest(connection: Connection, limit: int) -> list[AuditEvent]:
    """The newest events, newest first."""
    columns = [audit.c[name] for name in _FIELDS]
    rows = connection.execute(select(*columns).order_by(audit.c.id.desc()).limit(limit)).mappings()
    return [AuditEvent(**dict(row)) for row in rows]


def search(
    connection: Connection, since: float, event: str | None, client_id: str | None, actors: Collection[str], limit: int
) -> list[AuditEvent]:
    """The newest events at or after `since` that match, oldest first; None, and no actors, match everything."""
    statement = select(*(audit.c[name] for name in _FIELDS)).where(audit.c.at >= since)
    if event is not None:
        statement = statement.where(audit.c.event == event)
    if client_id is not None:
        statement = statement.where(audit.c.client_id == client_id)
    if actors:
        statement = statement.where(audit.c.actor.in_(actors))
    rows = connection.execute(statement.order_by(audit.c.id.desc()).limit(limit)).mappings().all()
    return [AuditEvent(**dict(row)) for row in reversed(rows)]


def retention(connection: Connection) -> tuple[float, Retention] | None:
    """The newest event that says for how long events are kept, with its time (Unix seconds); None where none does."""
    newest_one = select(audit.c.at, audit.c.detail).where(audit.c.event == RETENTION)
    row = connection.execute(newest_one.order_by(audit.c.id.desc()).limit(1)).first()
    said = None if row is None else Retention.parse(row.detail)
    return None if row is None or said is None else (row.at, said)


def past_events(connection: Connection, at: float, limit: int) -> int:
    """Let the oldest events go that happened by `at` (Unix seconds); the rest goes on from an anchor. How many went.

    An event stays while one before it has to, and while the database itself lets none so young go (see guards.py). The
    newest of each lane that could go stays too: it shows that those before it were old enough.
    """
    going = lets_go(connection)
    if going is None:
        return 0
    by, before = going
    columns = (audit.c.id, audit.c.at, audit.c.lane, audit.c.position, audit.c.hash)
    old = []
    for row in connection.execute(select(*columns).order_by(audit.c.id).limit(min(limit, OLDEST))):
        if row.at > min(at, by) or row.id >= before:
            break
        old.append(row)
    newest_ones = {row.lane: row.id for row in old}
    gone = [row for row in old if row.id != newest_ones[row.lane]]
    for lane, row in {row.lane: row for row in gone}.items():
        put(connection, audit_anchors, {"lane": lane}, {"position": row.position, "hash": row.hash})
    if gone:
        connection.execute(delete(audit).where(audit.c.id == bindparam("of")), [{"of": row.id} for row in gone])
    return len(gone)
