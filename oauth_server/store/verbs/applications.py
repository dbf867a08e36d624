"""What a person connected: the clients that hold their live grants, and taking a client's access away."""

from sqlalchemy import Connection, case, delete, func, select, update

from oauth_server.store.records import Application
from oauth_server.store.schema import clients, codes, consents, grants, refresh_tokens
from oauth_server.store.verbs.revocations import end


def of_user(connection: Connection, user_id: str, now: float, access_lifetime: float) -> list[Application]:
    """The clients that can still act for this person, the one that was given a token last first.

    A grant counts while a refresh token of it can be used, or an access token of it may not have expired yet.
    """
    open_until = func.max(case((refresh_tokens.c.used_at.is_(None), refresh_tokens.c.idle_until), else_=0.0))
    tokens = (
        select(
            refresh_tokens.c.grant_id,
            func.max(refresh_tokens.c.issued_at).label("issued_at"),
            open_until.label("open_until"),
        )
        .join(grants, grants.c.grant_id == refresh_tokens.c.grant_id)
        .where(grants.c.user_id == user_id)
        .group_by(refresh_tokens.c.grant_id)
        .subquery()
    )
    used = func.coalesce(tokens.c.issued_at, grants.c.created_at)
    rows = connection.execute(
        select(clients.c.client_id, clients.c.name, clients.c.redirect_uris, clients.c.source)
        .add_columns(grants.c.scope, grants.c.resources, grants.c.created_at, used.label("used_at"))
        .join(clients, clients.c.client_id == grants.c.client_id)
        .outerjoin(tokens, tokens.c.grant_id == grants.c.grant_id)
        .where(
            grants.c.user_id == user_id,
            grants.c.revoked_at.is_(None),
            ((tokens.c.open_until > now) & (grants.c.expires_at > now)) | (used > now - access_lifetime),
        )
        .order_by(used.desc(), clients.c.client_id)
    )
    found: dict[str, Application] = {}
    for row in rows:
        known = found.get(row.client_id)
        found[row.client_id] = Application(
            client_id=row.client_id,
            name=row.name,
            redirect_uris=tuple(row.redirect_uris),
            source=row.source,
            scope=_union(known.scope if known else (), row.scope),
            resources=_union(known.resources if known else (), row.resources),
            since=min(row.created_at, known.since) if known else row.created_at,
            last_used=known.last_used if known else row.used_at,
            grants=known.grants + 1 if known else 1,
        )
    return list(found.values())


def _union(known: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *more)))


def disconnect(connection: Connection, user_id: str, client_id: str, now: float, tokens_until: float) -> int:
    """End every grant of this person to this client, with its tokens, codes and consents; how many grants ended."""
    for table in (codes, consents):
        # Codes first: a redemption under way holds its code's lock, and leaves a grant that is seen below.
        connection.execute(delete(table).where(table.c.user_id == user_id, table.c.client_id == client_id))
    ended = connection.scalars(
        update(grants)
        .where(grants.c.user_id == user_id, grants.c.client_id == client_id, grants.c.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(grants.c.grant_id)
    ).all()
    if ended:
        end(connection, "grant", ended, tokens_until)
    return len(ended)
