"""The epoch row and the revocations it announces to every process that verifies tokens."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, select, tuple_, update

from oauth_server.store.at_once import by_key
from oauth_server.store.records import Announced, Kind, Position, Revocation
from oauth_server.store.schema import epoch, grants, revocations
from oauth_server.store.verbs.upsert import insert_if_absent, put

BEGINNING: Final[Position] = (0, "", "")
_ANNOUNCED = select(revocations.c.epoch, revocations.c.kind, revocations.c.value, revocations.c.expires_at)
_POSITION = tuple_(revocations.c.epoch, revocations.c.kind, revocations.c.value)


def bump(connection: Connection) -> int:
    """Raise the epoch and return it; holding the row's lock until commit keeps epochs in the order of commits."""
    insert_if_absent(connection, epoch, {"id": 1, "value": 0})
    value: int = connection.execute(update(epoch).values(value=epoch.c.value + 1).returning(epoch.c.value)).scalar_one()
    return value


def current_epoch(connection: Connection) -> int:
    """The epoch, 0 where nothing was ever announced."""
    return connection.execute(select(epoch.c.value)).scalar() or 0


def revoke(connection: Connection, entries: Iterable[Revocation]) -> None:
    """Announce revocations under a new epoch; one that stands already is renewed."""
    number = bump(connection)
    for entry in entries:
        put(
            connection,
            revocations,
            {"kind": entry.kind, "value": entry.value},
            {"revoked_at": entry.revoked_at, "expires_at": entry.expires_at, "epoch": number},
        )


@by_key
def end(connection: Connection, kind: Kind, values: Iterable[str], until: float) -> None:
    """Announce what ended for good: its access tokens are refused, whenever they were issued."""
    revoke(connection, [Revocation(kind, value, until, until) for value in values])


def readmit(connection: Connection, kind: Kind, value: str, now: float) -> None:
    """Let what had ended have access tokens again: those issued later than `now`."""
    row = (revocations.c.kind == kind) & (revocations.c.value == value) & (revocations.c.revoked_at > now)
    connection.execute(update(revocations).where(row).values(revoked_at=now))


def since(connection: Connection, known: Position, now: float, limit: int) -> Announced:
    """What was announced after `known`, `limit` rows at most, without what has expired.

    BEGINNING where the database lost what was known already, by a failover or an older state that was restored: what
    it announces now bears numbers that were read before.
    """
    # The epoch first: each statement of PostgreSQL sees what was committed before it, and a revocation that commits
    # between the two must not lie at or before the epoch that is reported without it.
    number = current_epoch(connection)
    latest: Position = (number + 1, "", "")
    if known > latest:
        return Announced(BEGINNING, [], more=True)
    if known == latest:
        return Announced(known, [], more=False)
    # In the order of an index that has it all, and bounded: as much work as there is news, whatever the table holds.
    news = tuple_(*known) < _POSITION
    rows = connection.execute(_ANNOUNCED.where(news).order_by(*_POSITION).limit(limit)).all()
    entries = [(kind, value, expires_at) for _, kind, value, expires_at in rows if expires_at > now]
    if len(rows) == limit:
        last, kind, value, _ = rows[-1]
        return Announced((last, kind, value), entries, more=True)
    return Announced(latest, entries, more=False)


@by_key
def find(connection: Connection, keys: Iterable[tuple[str, str]]) -> list[Revocation]:
    """The stored revocations among these (kind, value) pairs."""
    found = []
    for kind, value in keys:
        row = (
            connection.execute(
                select(
                    revocations.c.kind, revocations.c.value, revocations.c.revoked_at, revocations.c.expires_at
                ).where(revocations.c.kind == kind, revocations.c.value == value)
            )
            .mappings()
            .first()
        )
        if row is not None:
            found.append(Revocation(**dict(row)))
    return found


@by_key
def grant_ended(connection: Connection, grant_id: str) -> bool:
    """Whether a grant was revoked."""
    return connection.execute(select(grants.c.revoked_at).where(grants.c.grant_id == grant_id)).scalar() is not None
