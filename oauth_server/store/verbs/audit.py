"""The audit log: one row per security event, written in the commit of the event itself."""

from collections.abc import Callable, Collection
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, insert, select

from oauth_server.store.records import AuditEvent
from oauth_server.store.schema import audit

P = ParamSpec("P")
T = TypeVar("T")
_INSERT = insert(audit)
_FIELDS = tuple(AuditEvent.__dataclass_fields__)


def append(connection: Connection, *events: AuditEvent) -> None:
    """Record events, in one commit."""
    connection.execute(_INSERT, [{name: getattr(event, name) for name in _FIELDS} for event in events])


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
