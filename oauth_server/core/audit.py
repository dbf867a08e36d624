"""What is written to the audit log, and the address of the caller whose request is being served."""

from contextvars import ContextVar
from typing import Literal

from oauth_server import metrics
from oauth_server.store.records import AuditEvent

# Set by the HTTP face for each request; "local" on stdio and the command line.
caller_address: ContextVar[str] = ContextVar("caller_address", default="local")
request_id: ContextVar[str] = ContextVar("request_id", default="")


def event(
    at: float,
    name: str,
    outcome: Literal["success", "failure"],
    *,
    actor: str = "",
    client_id: str = "",
    detail: str = "",
) -> AuditEvent:
    """An event of the current caller, at Unix time `at`. `detail` must never hold a secret, code or token."""
    metrics.EVENTS.add(name, outcome)
    return AuditEvent(
        event=name,
        outcome=outcome,
        actor=actor[:200],
        client_id=client_id[:500],
        address=caller_address.get(),
        detail=detail[:500],
        at=at,
    )
