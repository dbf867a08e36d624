"""Named values that belong to the whole installation."""

from typing import Final

from sqlalchemy import Connection, bindparam, select, text

from oauth_server.store.schema import meta
from oauth_server.store.statements import Statement
from oauth_server.store.verbs.upsert import dialect_insert, insert_if_absent, put

_MADE: Final = Statement(
    lambda dialect: dialect_insert(dialect, meta).values(name=bindparam("name"), value="").on_conflict_do_nothing()
)
_CLOCK: Final = {
    "sqlite": text("SELECT (julianday('now') - 2440587.5) * 86400.0"),  # days, counted from before there were dates
    "postgresql": text("SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)"),
}
_HELD: Final = Statement(select(meta.c.name).where(meta.c.name == bindparam("of")).with_for_update())


def clock(connection: Connection) -> float:
    """The time by the database's own clock, in Unix seconds."""
    return float(connection.execute(_CLOCK[connection.dialect.name]).scalar_one())


def get(connection: Connection, name: str) -> str | None:
    """The value of that name, None where it was never set."""
    value: str | None = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar()
    return value


def remember(connection: Connection, name: str, value: str) -> None:
    """Set a value, replacing an older one."""
    put(connection, meta, {"name": name}, {"value": value})


def get_or_create(connection: Connection, name: str, value: str) -> str:
    """The value of that name; the given one becomes it where there is none yet, once for all processes."""
    insert_if_absent(connection, meta, {"name": name, "value": value})
    return get(connection, name) or value


def lock(connection: Connection, name: str) -> None:
    """Hold a lock of that name until the transaction ends; whoever waits for it reads what the holder left."""
    _MADE.run(connection, name=name)
    _HELD.first(connection, of=name)
