"""Changing the audit log behind everybody's back, as somebody with the password of the database could."""

from sqlalchemy import Connection, text

from oauth_server.store import guards
from oauth_server.store.engines import open_engines


def unguard(connection: Connection) -> None:
    """Take away what keeps the log from being changed; a verb."""
    guards.lift(connection)


def tamper(url: str, *statements: str) -> None:
    """Run statements in an unguarded log."""
    engine, _ = open_engines(url)
    with engine.begin() as connection:
        unguard(connection)
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
