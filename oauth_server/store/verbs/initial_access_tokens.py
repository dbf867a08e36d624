"""Initial access tokens, which register clients where not everybody may (RFC 7591 section 3)."""

from dataclasses import asdict

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, not_, select, update

from oauth_server.store.records import InitialAccessToken
from oauth_server.store.schema import initial_access_tokens as tokens


def _usable(now: float) -> ColumnElement[bool]:
    return and_(tokens.c.expires_at > now, tokens.c.uses_left > 0)


def add(connection: Connection, token: InitialAccessToken) -> None:
    """Store a new token; those that are used up or expired leave."""
    connection.execute(delete(tokens).where(not_(_usable(token.created_at))))
    connection.execute(insert(tokens).values(**asdict(token)))


def usable(connection: Connection, token_hash: bytes, now: float) -> bool:
    """Whether a token would register a client now."""
    return (
        connection.execute(select(tokens.c.uses_left).where(tokens.c.token_hash == token_hash, _usable(now))).first()
        is not None
    )


def use(connection: Connection, token_hash: bytes, now: float) -> bool:
    """Take one use of a token; False where it has none left."""
    # One statement: of many who take the last use at once, the others wait for its row, and find none left.
    statement = update(tokens).where(tokens.c.token_hash == token_hash, _usable(now))
    return bool(connection.execute(statement.values(uses_left=tokens.c.uses_left - 1)).rowcount)


def listed(connection: Connection, now: float) -> list[InitialAccessToken]:
    """The tokens that can still be used, the newest first."""
    rows = connection.execute(select(tokens).where(_usable(now)).order_by(tokens.c.created_at.desc())).mappings()
    return [InitialAccessToken(**dict(row)) for row in rows]


def remove(connection: Connection, token_hash: bytes) -> bool:
    """Delete a token; True when there was one."""
    return bool(connection.execute(delete(tokens).where(tokens.c.token_hash == token_hash)).rowcount)
