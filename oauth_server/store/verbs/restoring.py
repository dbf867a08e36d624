"""What ends when a database is brought back to an earlier state."""

from sqlalchemy import Connection, delete, func, select, update

from oauth_server.store.records import Held, Revocation
from oauth_server.store.schema import audit, browser_sessions, codes, consents, grants, initial_access_tokens
from oauth_server.store.verbs.revocations import revoke


def newest_event(connection: Connection) -> float | None:
    """When the newest event of the audit log happened (Unix seconds)."""
    return connection.execute(select(func.max(audit.c.at))).scalar()


def end_every_right(connection: Connection, now: float, until: float) -> Held:
    """End all that was given to browsers and applications, whoever holds it; how much was live.

    Access tokens end without a row of their own, those included that were issued after the backup.
    """
    live = select(func.count()).where(grants.c.revoked_at.is_(None), grants.c.expires_at > now)
    sessions = select(func.count()).where(browser_sessions.c.expires_at > now)
    held = Held(connection.scalar(sessions) or 0, connection.scalar(live) or 0)
    for table in (browser_sessions, codes, consents, initial_access_tokens):
        connection.execute(delete(table))
    connection.execute(update(grants).where(grants.c.revoked_at.is_(None)).values(revoked_at=now))
    revoke(connection, [Revocation("all", "", now, until)])
    return held
