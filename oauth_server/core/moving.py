"""Moving and restoring a database: which rights go on, and which end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from oauth_server.core.audit import event
from oauth_server.core.clock import Clock
from oauth_server.core.revocation import ACCESS_TOKEN_MAX
from oauth_server.store import backups, moving
from oauth_server.store.migrate import HEAD, bring_to
from oauth_server.store.records import Held
from oauth_server.store.verbs import audit, restoring


@dataclass(frozen=True)
class Restored:
    """The rows of each table, the time of the newest event among them (Unix seconds), and what ended."""

    rows: dict[str, int]
    newest: float | None
    ended: Held


def copy(source: str, target: str, shown: str, clock: Clock) -> dict[str, int]:
    """Copy a database with every right in it; the rows of each table. `shown` names the source in the audit log.

    A schema of an earlier release is migrated in the copy, after it was compared.
    """
    happened = event(clock(), "database.copied", "success", detail=f"from {shown}")

    def finish(connection: Connection) -> None:
        bring_to(connection, HEAD)
        audit.append(connection, happened)

    rows, _ = moving.copy(source, target, finish)
    return rows


def restore(file: Path, target: str, clock: Clock, *, replace: bool) -> Restored:
    """Bring a database back to the state of a verified backup, without the rights in it.

    What was revoked since must stay revoked (RFC 7009 section 2), and a backup does not know what that is: so every
    session, code, grant, token, remembered consent and initial access token ends.
    """
    rows, (newest, ended) = backups.restore(file, target, _ending(file, clock), replace=replace)
    return Restored(rows, newest, ended)


def _ending(file: Path, clock: Clock) -> Callable[[Connection], tuple[float | None, Held]]:
    def end(connection: Connection) -> tuple[float | None, Held]:
        newest, now = restoring.newest_event(connection), clock()
        held = restoring.end_every_right(connection, now, now + ACCESS_TOKEN_MAX)
        detail = f"from {file.name}; browser sessions ended: {held.sessions}, grants revoked: {held.grants}"
        audit.append(connection, event(now, "database.restored", "success", detail=detail))
        return newest, held

    return end
