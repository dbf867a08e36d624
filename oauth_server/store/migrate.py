"""Bringing the schema up to date at start; Alembic is imported only when one SQL read says that it is due."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from oauth_server.store.engines import LOCK_TIMEOUT_MS
from oauth_server.store.errors import StoreError

HEAD = "0010"  # the newest revision in migrations/versions
_KNOWN = frozenset({"0001", "0002", "0003", "0004", "0005", "0006", "0007", "0009", "0010"})
_LOCK = 0x6D63706F61757468  # any constant will do: it names the PostgreSQL advisory lock of migrations


def current_revision(connection: Connection) -> str | None:
    """The revision the database is at, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def migrate(engine: Engine) -> str | None:
    """Upgrade the schema to HEAD in one transaction, one process at a time; the revision it was at before.

    Raises StoreError for a schema newer than this program.
    """
    with engine.begin() as connection:
        return bring_to(connection, HEAD)


def bring_to(connection: Connection, revision: str) -> str | None:
    """Upgrade the schema to a revision in the caller's transaction; the one it was at before, None for no schema."""
    keep_others_out(connection)
    before = known_revision(connection)
    if before != revision:
        _upgrade(connection, revision)
    return before


def keep_others_out(connection: Connection) -> None:
    """Let no other process migrate, nor a server start, until the transaction ends; on SQLite BEGIN has done it."""
    if connection.dialect.name == "postgresql":
        # Another one may be migrating, and the index of a large table takes its time. The lock of a table is not waited
        # for longer than ever, since whoever wants it next waits behind us.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))


def known_revision(connection: Connection) -> str | None:
    """The revision the database is at, None for an empty one; StoreError where it is newer than this program."""
    revision = current_revision(connection)
    if revision is not None and revision not in _KNOWN:
        raise StoreError(f"the database has schema {revision}, newer than this program knows ({HEAD})")
    return revision


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command  # noqa: PLC0415 - costs a third of the start, needed once per release
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
