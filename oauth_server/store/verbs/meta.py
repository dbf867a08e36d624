"""Named values that belong to the whole installation."""

from sqlalchemy import Connection, select

from oauth_server.store.schema import meta
from oauth_server.store.verbs.upsert import insert_if_absent, put


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
    insert_if_absent(connection, meta, {"name": name, "value": ""})
    connection.execute(select(meta.c.name).where(meta.c.name == name).with_for_update())
