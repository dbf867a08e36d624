"""The secrets of forms and of known browsers: begun, succeeded, removed, one change at a time for all processes.

Each change first raises the epoch, as those of signing keys do: every process reads them anew.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from oauth_server.store.records import FormSecret, Revocation
from oauth_server.store.schema import form_secrets as table
from oauth_server.store.schema import meta as named_values
from oauth_server.store.verbs import meta
from oauth_server.store.verbs.revocations import revoke

OF_EARLIER_RELEASES: Final = "form_secret"  # the row of `meta` where they keep the one secret, as it is


def listed(connection: Connection) -> list[FormSecret]:
    """All of them, the one that signs last first."""
    rows = connection.execute(select(table).order_by(table.c.signs_from.desc()))
    return [FormSecret(*row) for row in rows]


def begin(
    connection: Connection, make: Callable[[str | None], Sequence[FormSecret]], now: float, until: float
) -> Sequence[FormSecret]:
    """Store the first ones, which `make` makes of the secret of an earlier release; what was stored.

    Nothing is, where some are there: of processes that begin together, one stores its own.
    """
    _announce(connection, now, until)
    if listed(connection):
        return ()
    made = make(meta.get(connection, OF_EARLIER_RELEASES))
    for secret in made:
        _insert(connection, secret)
    return made


def succeed(
    connection: Connection, fresh: FormSecret, unless_after: float, end_at: float, now: float, until: float
) -> FormSecret:
    """Let a fresh secret succeed the one that signs; returns the successor.

    That is another one where it signs from later than `unless_after` already. Those before are removed at `end_at`, or
    sooner where that was said before.
    """
    _announce(connection, now, until)
    others = listed(connection)
    if others and others[0].signs_from > unless_after:
        return others[0]
    connection.execute(delete(table).where(table.c.signs_from > now))  # it signed nothing
    signing = table.c.stops_at.is_(None) | (table.c.stops_at > fresh.signs_from)
    connection.execute(update(table).where(signing).values(stops_at=fresh.signs_from))
    sooner = table.c.ends_at.is_(None) | (table.c.ends_at > end_at)
    connection.execute(update(table).where(sooner).values(ends_at=end_at))
    _insert(connection, fresh)
    return fresh


def remove_ended(connection: Connection, now: float, until: float) -> list[str]:
    """Remove those that ended, and what an earlier release kept once it signs no more; the ids of those removed."""
    _announce(connection, now, until)
    if not connection.scalar(
        select(func.count()).where(table.c.secret_id == OF_EARLIER_RELEASES, table.c.stops_at > now)
    ):
        connection.execute(delete(named_values).where(named_values.c.name == OF_EARLIER_RELEASES))
    return list(connection.scalars(delete(table).where(table.c.ends_at <= now).returning(table.c.secret_id)))


def replace(connection: Connection, secret_id: str, old: str, new: str) -> bool:
    """Store a secret in another form, unless another process was faster; True when it was stored."""
    statement = update(table).where(table.c.secret_id == secret_id, table.c.secret == old)
    return connection.execute(statement.values(secret=new)).rowcount == 1


def remove(connection: Connection, secret_ids: Sequence[str], now: float, until: float) -> None:
    """Remove some of them at once."""
    _announce(connection, now, until)
    connection.execute(delete(table).where(table.c.secret_id.in_(secret_ids)))


def _announce(connection: Connection, now: float, until: float) -> None:
    revoke(connection, [Revocation("keys", "", now, until)])


def _insert(connection: Connection, secret: FormSecret) -> None:
    connection.execute(insert(table).values(secret._asdict()))
