"""The audit log: one row per security event, written in the commit of the event itself."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, insert, select

from oauth_server.store.records import AuditEvent
from oauth_server.store.schema import audit

P = ParamSpec("P")
T = TypeVar("T")
_INSERT = insert(audit)


def append(connection: Connection, event: AuditEvent) -> None:
    """Record an event."""
    connection.execute(
        _INSERT,
        {
            "at": event.at,
            "event": event.event,
            "outcome": event.outcome,
            "actor": event.actor,
            "client_id": event.client_id,
            "address": event.address,
            "detail": event.detail,
        },
    )


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
    columns = [audit.c[name] for name in AuditEvent.__dataclass_fields__]
    rows = connection.execute(select(*columns).order_by(audit.c.id.desc()).limit(limit)).mappings()
    return [AuditEvent(**dict(row)) for row in rows]
