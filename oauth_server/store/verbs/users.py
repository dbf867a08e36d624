"""People, their browser sessions and the consents they gave."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, insert, select, update

from oauth_server.store.at_once import by_key
from oauth_server.store.records import Revocation, Session, User
from oauth_server.store.schema import browser_sessions, consents, grants, users
from oauth_server.store.statements import Statement
from oauth_server.store.verbs.revocations import bump, end, readmit, revoke
from oauth_server.store.verbs.rows import USER_FIELDS, user_of
from oauth_server.store.verbs.upsert import insert_if_absent

_USER = tuple(users.c[name] for name in USER_FIELDS)
_BY_USERNAME: Final = Statement(select(*_USER).where(users.c.username == bindparam("named")))
_BY_ID: Final = Statement(select(*_USER).where(users.c.user_id == bindparam("of")))
_SESSION: Final = Statement(
    select(browser_sessions.c.auth_time, browser_sessions.c.expires_at, *_USER)
    .join(users, users.c.user_id == browser_sessions.c.user_id)
    .where(
        browser_sessions.c.session_hash == bindparam("hashed"),
        browser_sessions.c.expires_at > bindparam("now"),
        users.c.disabled.is_(False),
    )
)
_CONSENTED: Final = Statement(
    select(consents.c.scope, consents.c.document).where(
        consents.c.user_id == bindparam("of"),
        consents.c.client_id == bindparam("to"),
        consents.c.redirect_uri == bindparam("at"),
        consents.c.resources == bindparam("on"),
    )
)


def _insert_user(connection: Connection, user: User) -> None:
    connection.execute(insert(users).values(**user._asdict()))


def add_owner_if_nobody(connection: Connection, owner: User) -> bool:
    """Create the owner where there is no user at all; True when created. Two first starts create one owner."""
    bump(connection)
    if connection.execute(select(users.c.user_id).limit(1)).first() is not None:
        return False
    _insert_user(connection, owner)
    return True


def add(connection: Connection, user: User) -> bool:
    """Create a user; False when the name is taken, even by another process at this very moment."""
    return insert_if_absent(connection, users, user._asdict())


@by_key
def by_username(connection: Connection, username: str) -> User | None:
    """The user of that name, which is compared as stored (lower case)."""
    row = _BY_USERNAME.first(connection, named=username)
    return None if row is None else user_of(row)


@by_key
def by_id(connection: Connection, user_id: str) -> User | None:
    """The user with that `sub`."""
    row = _BY_ID.first(connection, of=user_id)
    return None if row is None else user_of(row)


def change_password(
    connection: Connection, user_id: str, present: str, password_hash: str, keep_session: bytes | None
) -> bool:
    """Replace the password by one of the person's own; every other browser session of theirs ends with it.

    False, and nothing changes, when `present` is no longer the hash of the password: of two changes at once, each of
    which knew the present password, one is made.
    """
    if _with_password(connection, user_id, present) is None:
        return False
    set_password(connection, user_id, password_hash, keep_session)
    return True


def _with_password(connection: Connection, user_id: str, password_hash: str) -> str | None:
    """The enabled person's id while that is the hash of the password, which nobody changes before the commit."""
    row = (users.c.user_id == user_id) & (users.c.password_hash == password_hash) & users.c.disabled.is_(False)
    found: str | None = connection.execute(select(users.c.user_id).where(row).with_for_update(key_share=True)).scalar()
    return found


def set_password(connection: Connection, user_id: str, password_hash: str, keep_session: bytes | None) -> None:
    """Replace the password; every other browser session of this person ends with it."""
    connection.execute(
        update(users).where(users.c.user_id == user_id).values(password_hash=password_hash, must_change_password=False)
    )
    connection.execute(
        delete(browser_sessions).where(
            browser_sessions.c.user_id == user_id, browser_sessions.c.session_hash != (keep_session or b"")
        )
    )


def set_disabled(connection: Connection, user_id: str, disabled: bool, now: float, until: float) -> None:
    """Disable or enable a user; disabling ends the browser sessions and every access token already issued."""
    connection.execute(update(users).where(users.c.user_id == user_id).values(disabled=disabled))
    if disabled:
        connection.execute(delete(browser_sessions).where(browser_sessions.c.user_id == user_id))
    else:
        readmit(connection, "user", user_id, now)
    end(connection, "user", [user_id] if disabled else [], until)


def set_scope(
    connection: Connection, user_id: str, scope: tuple[str, ...], clock: Callable[[], float], lifetime: float
) -> list[str]:
    """Set the ceiling; access tokens already issued with a scope that it no longer allows end.

    Their refresh tokens live on, and bring what is still allowed. Returns the clients that held such tokens. `clock` is
    read once nothing can be issued within the ceiling before; `lifetime` is that of an access token, in seconds.
    """
    held = connection.execute(select(users.c.user_id).where(users.c.user_id == user_id).with_for_update(key_share=True))
    held.close()
    now = clock()
    before = by_id(connection, user_id)
    connection.execute(update(users).where(users.c.user_id == user_id).values(scope=scope))
    removed = set(before.scope) - set(scope) if before is not None else set()
    rows = connection.execute(
        select(grants.c.grant_id, grants.c.client_id, grants.c.scope).where(
            grants.c.user_id == user_id, grants.c.revoked_at.is_(None), grants.c.expires_at > now
        )
    )
    exceeding = [row for row in rows if removed & set(row.scope)]
    # Announced even when nothing is revoked: other processes keep ceilings in memory.
    revoke(connection, [Revocation("grant", row.grant_id, now, now + lifetime) for row in exceeding])
    return sorted({row.client_id for row in exceeding})


@by_key
def start_session(
    connection: Connection,
    session_hash: bytes,
    user_id: str,
    password_hash: str,
    now: float,
    until: float,
    replaced: bytes | None,
) -> bool:
    """Begin a browser session after a login; the one it replaces ends.

    False, and nothing changes, when the person was disabled, or the password changed, while it was verified against
    `password_hash`: the change ended every session that the old one had opened, and this one would come after it.
    """
    if _with_password(connection, user_id, password_hash) is None:
        return False
    if replaced is not None:
        end_session(connection, replaced)
    connection.execute(
        insert(browser_sessions).values(session_hash=session_hash, user_id=user_id, auth_time=now, expires_at=until)
    )
    return True


@by_key
def session(connection: Connection, session_hash: bytes, now: float) -> Session | None:
    """The live session of an enabled user, None otherwise."""
    row = _SESSION.first(connection, hashed=session_hash, now=now)
    if row is None:
        return None
    return Session(session_hash, user_of(row), row["auth_time"], row["expires_at"])


def end_session(connection: Connection, session_hash: bytes) -> bool:
    """End a browser session; True when there was one."""
    statement = delete(browser_sessions).where(browser_sessions.c.session_hash == session_hash)
    return bool(connection.execute(statement).rowcount)


def _others(session: Session) -> ColumnElement[bool]:
    return and_(
        browser_sessions.c.user_id == session.user.user_id, browser_sessions.c.session_hash != session.session_hash
    )


def other_sessions(connection: Connection, session: Session, now: float) -> list[float]:
    """When this person signed in to each of their other live sessions, the latest first."""
    statement = select(browser_sessions.c.auth_time).where(_others(session), browser_sessions.c.expires_at > now)
    return list(connection.scalars(statement.order_by(browser_sessions.c.auth_time.desc())))


def end_other_sessions(connection: Connection, session: Session) -> int:
    """End this person's browser sessions but this one; how many there were."""
    return connection.execute(delete(browser_sessions).where(_others(session))).rowcount


@by_key
def consented(
    connection: Connection,
    user_id: str,
    client_id: str,
    redirect_uri: str,
    resources: tuple[str, ...],
    document: bytes | None = None,
) -> tuple[str, ...]:
    """The scopes this person consented to before, for exactly this client, redirect URI, resource and document."""
    row = _CONSENTED.first(connection, of=user_id, to=client_id, at=redirect_uri, on=resources)
    if row is None or row["document"] != document:
        return ()
    scope: tuple[str, ...] = row["scope"]
    return scope


def consent(
    connection: Connection,
    user_id: str,
    client_id: str,
    redirect_uri: str,
    resources: tuple[str, ...],
    scope: tuple[str, ...],
    now: float,
    document: bytes | None = None,
) -> None:
    """Remember a consent; what was consented to before for the same key and document stays consented."""
    key = {"user_id": user_id, "client_id": client_id, "redirect_uri": redirect_uri, "resources": resources}
    insert_if_absent(connection, consents, key | {"scope": (), "given_at": now, "document": document})
    row = and_(*(consents.c[name] == value for name, value in key.items()))
    # Of two consents at once, the second waits for the lock and reads what the first left.
    found = connection.execute(select(consents.c.scope, consents.c.document).where(row).with_for_update()).one()
    before: tuple[str, ...] = found.scope if found.document == document else ()
    union = (*before, *(s for s in scope if s not in before))
    connection.execute(update(consents).where(row).values(scope=union, given_at=now, document=document))
