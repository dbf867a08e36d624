"""Sealed successors of refresh tokens that can no longer be handed out again."""

from sqlalchemy import ColumnElement, Connection, bindparam, select, update

from oauth_server.store.at_once import by_key
from oauth_server.store.schema import refresh_tokens

_SEALED = refresh_tokens.c.sealed_successor.is_not(None)


def _ended(before: float, after: float) -> tuple[ColumnElement[bool], ...]:
    """Those whose token was used before the one time, or after the other, which no clock may tell yet."""
    return refresh_tokens.c.used_at < before, refresh_tokens.c.used_at > after


@by_key
def any_sealed(connection: Connection) -> bool:
    """Whether a sealed successor is stored."""
    # With a range, although it holds for each: the index is searched then, and the table left alone.
    found = select(refresh_tokens.c.used_at).where(_SEALED, refresh_tokens.c.used_at > 0).limit(1)
    return connection.execute(found).first() is not None


@by_key
def any_ended(connection: Connection, before: float, after: float) -> bool:
    """Whether `forget` would delete one."""
    found = (select(refresh_tokens.c.used_at).where(_SEALED, which).limit(1) for which in _ended(before, after))
    return any(connection.execute(one).first() is not None for one in found)


def forget(connection: Connection, before: float, after: float, limit: int) -> int:
    """Delete those whose token was used before the one Unix time, or after the other; how many, `limit` each at most.

    One that a request works with at this moment is left to it, or to the next time.
    """
    keys: list[bytes] = []
    for which in _ended(before, after):
        some = select(refresh_tokens.c.token_hash).where(_SEALED, which).order_by(refresh_tokens.c.used_at)
        keys += connection.scalars(some.limit(limit).with_for_update(skip_locked=True))
    if keys:
        cleared = update(refresh_tokens).where(refresh_tokens.c.token_hash == bindparam("its"))
        connection.execute(cleared.values(sealed_successor=None), [{"its": key} for key in keys])
    return len(keys)
