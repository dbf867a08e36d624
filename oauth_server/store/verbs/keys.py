"""The signing keys: added, rotated, retired, one change at a time for all processes.

Each change first raises the epoch: the row's lock puts changes in order, and every process reads the keys anew.
"""

from collections.abc import Mapping
from typing import Literal

from sqlalchemy import Connection, delete, insert, or_, select, update

from oauth_server.store.records import KeyUse, Revocation, SigningKey
from oauth_server.store.schema import signing_keys as table
from oauth_server.store.verbs.revocations import revoke

_FIELDS = tuple(SigningKey.__dataclass_fields__)
Retired = Literal["retired", "unknown", "last"]


def listed(connection: Connection) -> list[SigningKey]:
    """All signing keys, the newest first."""
    rows = connection.execute(select(table).order_by(table.c.created_at.desc())).mappings()
    return [SigningKey(**{name: row[name] for name in _FIELDS}) for row in rows]


def add_if_none(connection: Connection, key: SigningKey, now: float, until: float) -> bool:
    """Store a key unless one for its use and algorithm is there that has no successor; True when it was stored."""
    _announce(connection, now, until)
    if any(found.stops_at is None for found in _line(connection, key.use, key.alg)):
        return False
    _insert(connection, key)
    return True


def rotate(
    connection: Connection, fresh: SigningKey, unless_after: float, now: float, until: float
) -> SigningKey | None:
    """Let a fresh key succeed all others of its use; returns the key that does, None where the fresh one is known.

    That is another one where a key of this use and algorithm signs from later than `unless_after` already: of many who
    rotate at once, one does. A key that waited to sign, and that is succeeded, leaves: it signed nothing.
    """
    _announce(connection, now, until)
    if any(key.kid == fresh.kid for key in listed(connection)):
        return None
    others = _line(connection, fresh.use, fresh.alg)
    if others and others[0].signs_from > unless_after:
        return others[0]
    its = table.c.use == fresh.use
    connection.execute(delete(table).where(its, table.c.signs_from > now))
    signing = or_(table.c.stops_at.is_(None), table.c.stops_at > now)
    connection.execute(update(table).where(its, signing).values(stops_at=fresh.signs_from))
    _insert(connection, fresh)
    return fresh


def retire(
    connection: Connection,
    kid: str,
    in_force: Mapping[KeyUse, str],
    now: float,
    until: float,
    *,
    even_last: bool = False,
) -> Retired:
    """Remove a key at once; "last" where it signs, and no other is there to sign after it, but for `even_last`.

    A key that waits to sign takes over from the one that signs; where it is itself removed, that one signs on.
    `in_force` is the algorithm of each use.
    """
    _announce(connection, now, until)
    key = next((found for found in listed(connection) if found.kid == kid), None)
    if key is None:
        return "unknown"
    signing = [other for other in _line(connection, key.use, key.alg) if other.stops_at is None or other.stops_at > now]
    waiting = [other for other in signing if other.signs_from > now]
    if key in waiting:
        _move(connection, key.use, key.signs_from, None)
    elif key in signing and key.alg == in_force[key.use]:
        if waiting:
            successor = waiting[-1]
            connection.execute(update(table).where(table.c.kid == successor.kid).values(signs_from=now))
            _move(connection, key.use, successor.signs_from, now)
        elif not even_last:
            return "last"
    connection.execute(delete(table).where(table.c.kid == kid))
    return "retired"


def remove_ended(connection: Connection, stopped_before: float, now: float, until: float) -> list[str]:
    """Remove the keys that stopped to sign by then; their kids."""
    _announce(connection, now, until)
    statement = delete(table).where(table.c.stops_at <= stopped_before).returning(table.c.kid)
    return list(connection.scalars(statement))


def replace_private(connection: Connection, kid: str, old: str, new: str) -> bool:
    """Store the private key of that kid in another form, unless somebody was faster; True when it was stored."""
    statement = update(table).where(table.c.kid == kid, table.c.private_pem == old)
    return connection.execute(statement.values(private_pem=new)).rowcount == 1


def _announce(connection: Connection, now: float, until: float) -> None:
    revoke(connection, [Revocation("keys", "", now, until)])


def _line(connection: Connection, use: KeyUse, alg: str) -> list[SigningKey]:
    """The keys of one use and algorithm, whoever signs last first."""
    found = [key for key in listed(connection) if (key.use, key.alg) == (use, alg)]
    return sorted(found, key=lambda key: key.signs_from, reverse=True)


def _move(connection: Connection, use: KeyUse, stops_at: float, to: float | None) -> None:
    """Let those who would stop at one time stop at another."""
    connection.execute(update(table).where(table.c.use == use, table.c.stops_at == stops_at).values(stops_at=to))


def _insert(connection: Connection, key: SigningKey) -> None:
    connection.execute(insert(table).values({name: getattr(key, name) for name in _FIELDS}))
