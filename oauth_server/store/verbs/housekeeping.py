"""What nobody can use any more leaves: one verb for each kind of row, a bounded batch in each transaction.

The verbs say which rows; when those are of no use any more is decided in core/housekeeping.py. What a verb deletes it
has locked before, and it waits for no lock, so no request waits for it and then fails.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, delete, exists, or_, select

from oauth_server.store.schema import (
    assertions,
    browser_sessions,
    client_documents,
    codes,
    consents,
    grants,
    initial_access_tokens,
    refresh_tokens,
    revocations,
)
from oauth_server.store.verbs import meta

A = TypeVar("A")
T = TypeVar("T")
Batch: TypeAlias = Callable[[Connection, A, int], T]  # (connection, from where, rows at most) -> what was done
_TURN = "housekeeping"  # the row of `meta` that says whose turn it is, and until when


def take_turn(connection: Connection, owner: str, now: float, seconds: float) -> bool:
    """Make it this process's turn for that long, or prolong it; False while it is another one's."""
    meta.lock(connection, _TURN)
    holder, _, until = (meta.get(connection, _TURN) or "").partition(" ")
    # A turn that would end long after one taken now was taken by a clock that has been put right since.
    if holder not in ("", owner) and now < float(until) < now + 2 * seconds:
        return False
    meta.remember(connection, _TURN, f"{owner} {now + seconds}")
    return True


def in_turn(
    connection: Connection, owner: str, now: float, seconds: float, batch: Batch[A, T], start: A, limit: int
) -> T | None:
    """Run a batch in this process's turn; None, and nothing is done, while it is another one's.

    One transaction has both: the turn cannot pass to another process meanwhile.
    """
    return batch(connection, start, limit) if take_turn(connection, owner, now, seconds) else None


def ended_grants(connection: Connection, at: float, limit: int) -> int:
    """Grants that were revoked, or could no longer be used, by `at` (Unix seconds), with all that belongs to them.

    A batch has either refresh tokens that were replaced, or codes, or the grants, each with its current refresh token:
    that is how a grant which lay idle is found, so it stays to the last.
    """
    dead = _dead(connection, at, limit // 2)
    if not dead:
        return 0
    replaced = refresh_tokens.c.grant_id.in_(dead), refresh_tokens.c.used_at.is_not(None)
    if found := connection.scalars(select(refresh_tokens.c.token_hash).where(*replaced).limit(limit)).all():
        return _delete(connection, refresh_tokens, refresh_tokens.c.token_hash.in_(found), limit)
    if found := connection.scalars(select(codes.c.code_hash).where(codes.c.grant_id.in_(dead)).limit(limit)).all():
        return _delete(connection, codes, codes.c.code_hash.in_(found), limit)
    return _delete(connection, grants, grants.c.grant_id.in_(dead), limit)


def _dead(connection: Connection, at: float, limit: int) -> list[str]:
    revoked = select(grants.c.grant_id).where(grants.c.revoked_at <= at).order_by(grants.c.revoked_at)
    expired = select(grants.c.grant_id).where(grants.c.expires_at <= at).order_by(grants.c.expires_at)
    idle = select(refresh_tokens.c.grant_id).where(
        refresh_tokens.c.used_at.is_(None), refresh_tokens.c.idle_until <= at
    )
    found: dict[str, None] = {}
    for statement in (revoked, expired, idle.order_by(refresh_tokens.c.idle_until)):
        found |= dict.fromkeys(connection.scalars(statement.limit(limit)))
    return list(found)[:limit]


def codes_of_the_future(connection: Connection, at: float, limit: int) -> int:
    """Codes nobody redeemed that would expire later than `at`, as no new one does: the clock was set back."""
    return _delete(connection, codes, and_(codes.c.used_at.is_(None), codes.c.expires_at > at), limit)


def unredeemed_codes(connection: Connection, at: float, limit: int) -> int:
    """Codes that expired by `at` without having been redeemed; redeemed ones leave with their grant."""
    return _past(connection, codes, at, limit, codes.c.used_at.is_(None))


def ended_sessions(connection: Connection, at: float, limit: int) -> int:
    """Browser sessions that expired by `at`."""
    return _past(connection, browser_sessions, at, limit)


def past_revocations(connection: Connection, at: float, limit: int) -> int:
    """Revocations of what would have expired by `at` anyhow."""
    return _past(connection, revocations, at, limit)


def past_assertions(connection: Connection, at: float, limit: int) -> int:
    """Client assertions that expired by `at`."""
    return _past(connection, assertions, at, limit)


def ended_initial_access_tokens(connection: Connection, at: float, limit: int) -> int:
    """Initial access tokens that expired by `at`, or have no use left; the table has what an operator made by hand."""
    table = initial_access_tokens
    return _delete(connection, table, or_(table.c.expires_at <= at, table.c.uses_left <= 0), limit)


def unreferenced_documents(connection: Connection, after: bytes, limit: int) -> tuple[int, bytes]:
    """Documents that no code, grant or consent rests on, of the `limit` documents after that digest.

    Returns how many left, and the digest to go on after, which is empty at the end.
    """
    page = select(client_documents.c.digest).where(client_documents.c.digest > after)
    seen = connection.scalars(page.order_by(client_documents.c.digest).limit(limit)).all()
    if not seen:
        return 0, b""
    locked = _locked(connection, client_documents, client_documents.c.digest.in_(seen), limit)
    # Looked for in a statement of its own, after the lock: whoever keeps a document holds the lock of its row from then
    # to the commit of the code that rests on it.
    unreferenced = select(client_documents.c.digest).where(
        client_documents.c.digest.in_([digest for (digest,) in locked]),
        *(
            ~exists().where(
                table.c.client_id == client_documents.c.client_id, table.c.document == client_documents.c.digest
            )
            for table in (codes, grants, consents)
        ),
    )
    found = connection.scalars(unreferenced).all()
    _delete_locked(connection, client_documents, [(digest,) for digest in found])
    return len(found), seen[-1] if len(seen) == limit else b""


def _past(connection: Connection, table: Table, at: float, limit: int, *also: ColumnElement[bool]) -> int:
    # In the order of their end, which is that of an index: a batch never reads more than it deletes.
    return _delete(connection, table, and_(table.c.expires_at <= at, *also), limit, table.c.expires_at)


def _delete(
    connection: Connection, table: Table, which: ColumnElement[bool], limit: int, *order: ColumnElement[float]
) -> int:
    return _delete_locked(connection, table, _locked(connection, table, which, limit, *order))


def _locked(
    connection: Connection, table: Table, which: ColumnElement[bool], limit: int, *order: ColumnElement[float]
) -> Sequence[tuple[object, ...]]:
    some = select(*table.primary_key).where(which).order_by(*order).limit(limit).with_for_update(skip_locked=True)
    return [tuple(row) for row in connection.execute(some)]


def _delete_locked(connection: Connection, table: Table, keys: Sequence[tuple[object, ...]]) -> int:
    # Key by key: SQLite looks no index up for a list of pairs.
    its = (column == bindparam(f"key_{column.name}") for column in table.primary_key)
    names = [f"key_{column.name}" for column in table.primary_key]
    if keys:
        connection.execute(delete(table).where(*its), [dict(zip(names, key, strict=True)) for key in keys])
    return len(keys)
