"""INSERT … ON CONFLICT, which SQLite and PostgreSQL spell alike and SQLAlchemy keeps in its dialects."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Table


def _insert(connection: Connection, table: Table) -> Any:
    # Each brings its dialect with all its drivers: a start does not wait for the one it does not use.
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.insert(table)


def insert_if_absent(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless its key is taken; True when it was inserted."""
    statement = _insert(connection, table).values(**values).on_conflict_do_nothing()
    # Without the option SQLAlchemy does not say how many rows an INSERT made (psycopg: always -1).
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1


def put(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Insert a row, or replace the values of the one that has this key."""
    statement = _insert(connection, table).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=dict(values)))


def insert_or_change(
    connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any], changed: Mapping[str, Any]
) -> Row[Any]:
    """Insert a row, or set `changed` (expressions over the row itself) in the one that has this key; returns it."""
    statement = _insert(connection, table).values(**key, **values)
    statement = statement.on_conflict_do_update(index_elements=list(key), set_=dict(changed))
    return connection.execute(statement.returning(*table.c)).one()
