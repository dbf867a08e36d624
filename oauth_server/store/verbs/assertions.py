"""Client assertions that were accepted, so that each is accepted once (RFC 7523 section 3, jti)."""

from sqlalchemy import Connection, delete

from oauth_server.store.schema import assertions
from oauth_server.store.verbs.upsert import insert_if_absent


def accept(connection: Connection, digest: bytes, expires_at: float, expired: float) -> bool:
    """Whether this assertion is seen for the first time; those that ended at or before `expired` are forgotten."""
    connection.execute(delete(assertions).where(assertions.c.expires_at <= expired))
    return insert_if_absent(connection, assertions, {"digest": digest, "expires_at": expires_at})
