"""Changing the audit log behind everybody's back, as somebody with the password of the database could."""

from sqlalchemy import Connection, text

from oauth_server.store.engines import open_engines

TRIGGERS = ("audit_unchanged", "audit_kept", "audit_added")


def unguard(connection: Connection) -> None:
    """Take away what keeps the log from being changed; a verb."""
    for name in TRIGGERS:
        where = " ON audit" if connection.dialect.name == "postgresql" else ""
        connection.execute(text(f"DROP TRIGGER IF EXISTS {name}{where}"))


def tamper(url: str, *statements: str) -> None:
    """Run statements in an unguarded log."""
    engine, _ = open_engines(url)
    with engine.begin() as connection:
        unguard(connection)
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
