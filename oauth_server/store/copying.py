"""Copying rows between two databases of one schema: in batches, and compared afterwards by count and digest."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, MetaData, Table, delete, func, insert, inspect, select, text

from oauth_server.store.errors import NotMovedError
from oauth_server.store.schema import metadata

BATCH = 1000
# What is of use at the moment alone, and to whoever steals a copy for longer.
LEFT_OUT = frozenset({("refresh_tokens", "sealed_successor")})
_MODULUS = 2**256


@dataclass
class Contents:
    """How many rows there are, and the sum of their SHA-256: equal for the same rows in whatever order."""

    rows: int = 0
    digest: int = 0

    def take_in(self, batch: list[tuple[Any, ...]]) -> None:
        """Count these rows too."""
        self.rows += len(batch)
        for row in batch:
            # Both engines hand out the same Python values, so that their spelling is the same.
            number = int.from_bytes(hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).digest())
            self.digest = (self.digest + number) % _MODULUS


def tables(connection: Connection) -> list[Table]:
    """Our tables as the database has them, also in an older schema; a table stands after those it refers to."""
    found = MetaData()
    present = metadata.tables.keys() & set(inspect(connection).get_table_names())
    found.reflect(connection, only=sorted(present))
    return found.sorted_tables


def holds_rows(connection: Connection) -> bool:
    """Whether any table has a row."""
    return any(
        connection.execute(select(text("1")).select_from(table).limit(1)).first() for table in tables(connection)
    )


def clear(connection: Connection) -> None:
    """Delete every row."""
    for table in reversed(tables(connection)):
        connection.execute(delete(table))


def contents(connection: Connection, table: Table) -> Contents:
    """What a table holds."""
    found = Contents()
    for batch in _batches(connection, table):
        found.take_in(batch)
    return found


def copy_rows(source: Connection, target: Connection) -> dict[str, int]:
    """Copy every row into tables without any, but for LEFT_OUT; how many rows there were, by table.

    Raises NotMovedError when the target does not hold afterwards what was read.
    """
    into = {table.name: table for table in tables(target)}
    copied = {}
    for table in tables(source):
        read = Contents()
        names = _columns(table)
        for batch in _batches(source, table):
            read.take_in(batch)
            target.execute(insert(into[table.name]), [dict(zip(names, row, strict=True)) for row in batch])
        if contents(target, into[table.name]) != read:
            raise NotMovedError(f"table {table.name} arrived other than it was read")
        copied[table.name] = read.rows
    if target.dialect.name == "postgresql":
        _set_sequences(target, into.values())
    return copied


def _columns(table: Table) -> list[str]:
    return sorted(name for name in (column.name for column in table.c) if (table.name, name) not in LEFT_OUT)


def _batches(connection: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    statement = select(*(table.c[name] for name in _columns(table)))
    result = connection.execute(statement, execution_options={"yield_per": BATCH})
    for batch in result.partitions():
        yield [tuple(row) for row in batch]


def _set_sequences(connection: Connection, found: Any) -> None:
    """Let every sequence go on after the largest number that was copied."""
    for table in found:
        for column in table.primary_key:
            named = {"table": table.name, "column": column.name}
            sequence = connection.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), named).scalar()
            largest = sequence and connection.execute(select(func.max(column))).scalar()
            if largest is not None:
                connection.execute(text("SELECT setval(:sequence, :to)"), {"sequence": sequence, "to": largest})
