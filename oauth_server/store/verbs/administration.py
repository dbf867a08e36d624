"""What the operator does to people and clients, and what ends with it."""

from sqlalchemy import Connection, delete, func, select, update

from oauth_server.store.records import Held, User
from oauth_server.store.schema import browser_sessions, codes, grants, users
from oauth_server.store.verbs import clients
from oauth_server.store.verbs import users as people
from oauth_server.store.verbs.rows import USER_FIELDS, user_of


def everybody(connection: Connection) -> list[User]:
    """All users, by name."""
    statement = select(*(users.c[name] for name in USER_FIELDS)).order_by(users.c.username)
    return [user_of(row) for row in connection.execute(statement).mappings()]


def held_by(connection: Connection, user_id: str, now: float) -> Held:
    """What a person holds: browser sessions and grants that are neither ended nor expired."""
    sessions = select(func.count()).where(browser_sessions.c.user_id == user_id, browser_sessions.c.expires_at > now)
    live = select(func.count()).where(
        grants.c.user_id == user_id, grants.c.revoked_at.is_(None), grants.c.expires_at > now
    )
    return Held(connection.scalar(sessions) or 0, connection.scalar(live) or 0)


def grants_of_client(connection: Connection, client_id: str, now: float) -> int:
    """How many live grants a client has."""
    live = select(func.count()).where(
        grants.c.client_id == client_id, grants.c.revoked_at.is_(None), grants.c.expires_at > now
    )
    return connection.scalar(live) or 0


def set_password(connection: Connection, user_id: str, password_hash: str, must_change: bool, now: float) -> Held:
    """Replace the password, for the next login alone when it must be changed; every browser session ends with it."""
    held = held_by(connection, user_id, now)
    people.set_password(connection, user_id, password_hash, None)
    connection.execute(update(users).where(users.c.user_id == user_id).values(must_change_password=must_change))
    return held


def disable(connection: Connection, user_id: str, now: float, until: float) -> Held:
    """Disable a user and end all that was ever granted: sessions, codes, grants and every token."""
    # The person's lock first: what is being issued meanwhile is waited for and seen below, anything later sees the end.
    connection.execute(select(users.c.user_id).where(users.c.user_id == user_id).with_for_update(key_share=True))
    held = held_by(connection, user_id, now)
    connection.execute(delete(codes).where(codes.c.user_id == user_id))
    connection.execute(
        update(grants).where(grants.c.user_id == user_id, grants.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    people.set_disabled(connection, user_id, True, now, until)
    return held


def delete_client(connection: Connection, client_id: str, now: float, until: float) -> int | None:
    """Delete a client with all that was issued to it; how many live grants it had, None where there is no such one."""
    live = grants_of_client(connection, client_id, now)
    return live if clients.remove(connection, client_id, until) else None
