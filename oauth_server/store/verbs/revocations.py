"""The epoch row and the revocations it announces to every process that verifies tokens."""

from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from oauth_server.store.at_once import by_key
from oauth_server.store.records import Kind, Revocation
from oauth_server.store.schema import epoch, grants, revocations
from oauth_server.store.verbs.upsert import insert_if_absent, put


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


def since(connection: Connection, known: int, now: float) -> tuple[int, list[Revocation]]:
    """The epoch now, and the live revocations announced after `known`."""
    # The epoch first: each statement of PostgreSQL sees what was committed before it, and a revocation that commits
    # between the two must not lie at or before the epoch that is reported without it.
    number = current_epoch(connection)
    rows = connection.execute(
        select(revocations.c.kind, revocations.c.value, revocations.c.revoked_at, revocations.c.expires_at).where(
            revocations.c.epoch > known, revocations.c.expires_at > now
        )
    ).mappings()
    return number, [Revocation(**dict(row)) for row in rows]


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
