"""Counting attempts at a password, so that they are bounded for all processes together (GCRA, a leaky bucket).

An attempt is counted before anybody knows how it ends, and given back when it succeeds: however many come at once, and
through however many processes, no more than a bucket holds are under way.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Double, Integer, bindparam, case, delete, select, update

from oauth_server.store.ages import CLOCK_SKEW
from oauth_server.store.at_once import by_key
from oauth_server.store.records import Bucket, Full
from oauth_server.store.schema import failed_attempts as table
from oauth_server.store.statements import Statement
from oauth_server.store.verbs.upsert import dialect_insert

FORGOTTEN_AT_ONCE: Final = 20  # rows; an attempt adds two at most, so whatever is empty is gone soon


def _seconds(name: str) -> ColumnElement[float]:
    return bindparam(name, type_=Double())


def _raising(dialect: str) -> Any:
    # One statement: of many at once, each counts from where the one before it left.
    now, instead, seconds, beyond = map(_seconds, ("now", "instead", "seconds", "beyond"))
    # One whose level is higher than it can get was counted before the clock was set back.
    level = case((table.c.empty_at > beyond, instead), (table.c.empty_at > now, table.c.empty_at), else_=now)
    inserted = dialect_insert(dialect, table).values(key=bindparam("of"), empty_at=_seconds("first"))
    changed = inserted.on_conflict_do_update(index_elements=["key"], set_={"empty_at": level + seconds})
    return changed.returning(table.c.empty_at)


_RAISE: Final = Statement(_raising)
_LEVEL: Final = Statement(select(table.c.empty_at).where(table.c.key == bindparam("of")))
_LOWER: Final = Statement(
    update(table).where(table.c.key == bindparam("of")).values(empty_at=table.c.empty_at - bindparam("by"))
)
_DELETE: Final = Statement(delete(table).where(table.c.key == bindparam("of")))
_DELETE_EMPTY: Final = Statement(
    delete(table).where(table.c.key == bindparam("of"), table.c.empty_at <= bindparam("now"))
)
_EMPTY: Final = Statement(
    select(table.c.key)
    .where(table.c.empty_at <= bindparam("now"))
    .order_by(table.c.empty_at)
    .limit(bindparam("most", type_=Integer()))
    .with_for_update(skip_locked=True)
)


@by_key
def full(connection: Connection, buckets: Sequence[Bucket], now: float) -> Full | None:
    """The bucket that has no room for an attempt now; of several, the one that has room last."""
    rows = ((bucket, _LEVEL.first(connection, of=bucket.key)) for bucket in buckets)
    levels = ((bucket, now if row is None else row["empty_at"]) for bucket, row in rows)
    raised = ((bucket, _level(bucket, level, now) + bucket.interval) for bucket, level in levels)
    found = [Full(bucket, _room_at(bucket, level)) for bucket, level in raised if _overflows(bucket, level, now)]
    return max(found, key=lambda one: one.until, default=None)


@by_key
def take(connection: Connection, buckets: Sequence[Bucket], now: float) -> tuple[Bucket, ...] | Full:
    """Count an attempt in each of the buckets, and say which of them it filled; nothing is counted where one is full.

    Buckets that have emptied are forgotten, some at a time.
    """
    counted, filled = [], []
    for bucket in _in_order(buckets):
        level = _raise(connection, bucket.key, bucket.interval, now, _most(bucket), _last(bucket))
        counted.append(bucket)
        if _overflows(bucket, level, now):
            for one in counted:
                _lower(connection, one, now)
            return Full(bucket, _room_at(bucket, level))
        if _overflows(bucket, level + bucket.interval, now):
            filled.append(bucket)
    # The last step: it waits for no lock, so whoever waits for a row that it deletes is not waited for.
    forget(connection, now, FORGOTTEN_AT_ONCE)
    return tuple(filled)


@by_key
def lower(connection: Connection, buckets: Sequence[Bucket], now: float) -> None:
    """Undo `take` as if the attempt had not been: each bucket loses this one."""
    for bucket in _in_order(buckets):
        _lower(connection, bucket, now)


@by_key
def give_back(connection: Connection, buckets: Sequence[Bucket], now: float) -> None:
    """Undo `take` after a success: a shared bucket loses this one attempt, any other is emptied."""
    for bucket in _in_order(buckets):
        if bucket.shared:
            _lower(connection, bucket, now)
        else:
            empty(connection, bucket)


def add_up(connection: Connection, own: Mapping[bytes, float], now: float, most: float) -> dict[bytes, float]:
    """Add what one process counted to what all did, in seconds until it has leaked; when each bucket is empty now.

    Keys as in `Bucket`, times in Unix seconds. No bucket takes more than `most` seconds to empty.
    """
    # In one order, as all who take the locks of these rows.
    levels = {key: _raise(connection, key, own[key], now, most) for key in sorted(own)}
    forget(connection, now, FORGOTTEN_AT_ONCE + len(own))
    return levels


def empty(connection: Connection, bucket: Bucket) -> bool:
    """Forget all attempts counted in a bucket; True when there were any."""
    return bool(_DELETE.run(connection, of=bucket.key))


def _in_order(buckets: Iterable[Bucket]) -> list[Bucket]:
    # All take the locks of rows in one order, so no two wait for each other.
    return sorted(buckets, key=lambda bucket: bucket.key)


def _most(bucket: Bucket) -> float:
    """The seconds after which any bucket of this kind is empty, by clocks that differ no more than they may."""
    return (bucket.size + 1) * bucket.interval + CLOCK_SKEW


def _last(bucket: Bucket) -> float:
    """The seconds until one that has room for one more is empty."""
    return (bucket.size - 1) * bucket.interval


def _level(bucket: Bucket, stored: float, now: float) -> float:
    # As in _raise: nobody is kept out until it is that late again, and no guesses are given away.
    return now + _last(bucket) if stored > now + _most(bucket) else max(stored, now)


def _overflows(bucket: Bucket, level: float, now: float) -> bool:
    return level > now + bucket.size * bucket.interval


def _room_at(bucket: Bucket, level: float) -> float:
    return level - bucket.size * bucket.interval


def _raise(connection: Connection, key: bytes, seconds: float, now: float, most: float, instead: float = 0.0) -> float:
    values = {"first": now + seconds, "now": now, "instead": now + instead, "beyond": now + most, "seconds": seconds}
    row = _RAISE.first(connection, of=key, **values)
    assert row is not None  # noqa: S101 - it is inserted or changed
    return float(row["empty_at"])


def _lower(connection: Connection, bucket: Bucket, now: float) -> None:
    _LOWER.run(connection, of=bucket.key, by=bucket.interval)
    _DELETE_EMPTY.run(connection, of=bucket.key, now=now)


def forget(connection: Connection, now: float, limit: int) -> int:
    """Delete at most `limit` of the buckets that have emptied; how many."""
    found = _EMPTY.all(connection, now=now, most=limit)
    if found:
        _DELETE.run_each(connection, [{"of": row["key"]} for row in found])
    return len(found)
