"""What is written to the audit log (docs/audit.md has the table), and whose request is being served."""

from contextvars import ContextVar
from typing import Literal

from oauth_server import metrics
from oauth_server.store.records import AuditEvent

# Set by the HTTP face for each request; "local" on stdio and the command line.
caller_address: ContextVar[str] = ContextVar("caller_address", default="local")
# Set by the HTTP face for each request that names an Origin other than this server's own; else empty.
foreign_origin: ContextVar[str] = ContextVar("foreign_origin", default="")
# Set by the HTTP face for each request; empty on stdio and the command line.
request_id: ContextVar[str] = ContextVar("request_id", default="")

EventName = Literal[
    "application.disconnected",
    "audit.retention",
    "authorize",
    "client.authentication",
    "client.configured",
    "client.deleted",
    "client.registered",
    "client.updated",
    "code.redeemed",
    "consent",
    "database.copied",
    "database.restored",
    "grant.revoked",
    "initial_access_token.created",
    "initial_access_token.deleted",
    "key.created",
    "key.encrypted",
    "key.ended",
    "key.retired",
    "key.rotated",
    "login",
    "login.limited",
    "logout",
    "password.changed",
    "password.confirmed",
    "password.confirmed.limited",
    "sessions.ended",
    "token.issued",
    "token.refreshed",
    "token.replayed",
    "token.revoked",
    "user.added",
    "user.disabled",
    "user.enabled",
    "user.scope_set",
    "user.unlocked",
]


def event(
    at: float,
    name: EventName,
    outcome: Literal["success", "failure"],
    *,
    actor: str = "",
    client_id: str = "",
    detail: str = "",
) -> AuditEvent:
    """An event of the current caller, at Unix time `at`; `actor` is the name of the person whom it concerns.

    `detail` must never hold a secret, code or token.
    """
    metrics.EVENTS.add(name, outcome)
    return AuditEvent(
        event=name,
        outcome=outcome,
        actor=_line(actor, 200),
        client_id=_line(client_id, 500),
        address=caller_address.get(),
        detail=_line(detail, 500),
        at=at,
        request_id=request_id.get(),
    )


def _line(text: str, most: int) -> str:
    """Strangers choose what stands there: no control characters, and nothing that a database cannot hold."""
    text = text[:most]
    return text if text.isprintable() else ascii(text)[1:-1][:most]
