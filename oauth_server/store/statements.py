"""Statements of the hot paths: compiled once, and run on the driver's own cursor.

What SQLAlchemy does around an execution (its cache key, its context, its result) costs ten times what a statement on a
row's key costs SQLite. Whoever listens to an engine's cursor events sees these statements too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, LargeBinary, Select
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.dml import UpdateBase

T = TypeVar("T")
Row = dict[str, Any]
_Process = Callable[[Any], Any]


Core = Select[*tuple[Any, ...]] | UpdateBase


class Statement:
    """One statement of SQLAlchemy Core; its values come by the names of its parameters.

    It is made by a function of the dialect's name where SQLAlchemy keeps it in its dialects.
    """

    def __init__(self, statement: Core | Callable[[str], Core]) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def first(self, connection: Connection, **values: Any) -> Row | None:
        """The first row, by column names; None where there is none."""
        rows = self.all(connection, **values)
        return rows[0] if rows else None

    def all(self, connection: Connection, **values: Any) -> list[Row]:
        """Every row, by column names."""
        compiled = self._for(connection)
        return _run(connection, compiled.sql, compiled.bound(values), compiled.rows)

    def run(self, connection: Connection, **values: Any) -> int:
        """Run it for what it does; how many rows it met."""
        compiled = self._for(connection)
        return _run(connection, compiled.sql, compiled.bound(values), _counted)

    def run_each(self, connection: Connection, many: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each of these values."""
        compiled = self._for(connection)
        _run(connection, compiled.sql, [compiled.bound(values) for values in many], _counted, many=True)

    def _for(self, connection: Connection) -> "_Compiled":
        dialect = connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            statement = self._statement(dialect.name) if callable(self._statement) else self._statement
            found = self._compiled[dialect.name] = _Compiled(statement, dialect)
        return found


class _Compiled:
    """A statement in the words of one dialect, with what makes its values the driver's and its rows ours."""

    def __init__(self, statement: Core, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        if compiled.post_compile_params or getattr(compiled, "prefetch", ()):
            raise TypeError(f"needs SQLAlchemy for each execution: {compiled}")
        self.sql = str(compiled)
        self._positional = bool(compiled.positional)
        self._names_bound = tuple(compiled.positiontup if self._positional else compiled.binds)
        self._defaults: dict[str, object] = {}
        self._binding: dict[str, _Process] = {}
        for name in self._names_bound:
            parameter = compiled.binds[name]
            if not parameter.required:
                self._defaults[name] = parameter.effective_value
            process = parameter.type.dialect_impl(dialect).bind_processor(dialect)
            # Both drivers take bytes as they are.
            if process is not None and not isinstance(parameter.type, LargeBinary):
                self._binding[name] = process
        self._dialect = dialect
        self._columns = [(str(column.key), column.type.dialect_impl(dialect)) for column in statement.exported_columns]
        self._names = [name for name, _ in self._columns]
        self._processed: list[tuple[str, _Process]] | None = None

    def bound(self, values: Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
        """The values as the driver takes them. Raises KeyError for one that is missing."""
        given = {**self._defaults, **values}
        for name, process in self._binding.items():
            given[name] = process(given[name])
        if self._positional:
            return tuple([given[name] for name in self._names_bound])  # half the time of a generator
        return {name: given[name] for name in self._names_bound}

    def rows(self, cursor: Any) -> list[Row]:
        """The rows that the driver found, by column names."""
        if self._processed is None:
            self._processed = self._processors(cursor.description)
        rows = [dict(zip(self._names, found, strict=True)) for found in cursor.fetchall()]
        for name, process in self._processed:
            for row in rows:
                row[name] = process(row[name])
        return rows

    def _processors(self, description: Sequence[Sequence[Any]]) -> list[tuple[str, _Process]]:
        # What the driver makes of a type may depend on how the database calls it, which it says with the rows.
        found: Iterable[tuple[str, _Process | None]] = (
            (name, kind.result_processor(self._dialect, described[1]))
            for (name, kind), described in zip(self._columns, description, strict=True)
        )
        return [(name, process) for name, process in found if process is not None]


def command(connection: Connection, sql: str) -> None:
    """Run a statement that has no values and no rows."""
    _run(connection, sql, (), _counted)


def _counted(cursor: Any) -> int:
    count: int = cursor.rowcount
    return count


def _run(connection: Connection, sql: str, values: Any, answer: Callable[[Any], T], *, many: bool = False) -> T:
    """The answer of the driver's cursor after the statement; raises what `connection.execute` would raise."""
    if not connection.in_transaction():
        connection.begin()  # or the commit would not know that there is something to commit
    listeners = connection.engine.dispatch
    cursor: Any = None
    try:
        cursor = connection.connection.cursor()
        if listeners.before_cursor_execute:
            listeners.before_cursor_execute(connection, cursor, sql, values, None, many)
        (cursor.executemany if many else cursor.execute)(sql, values)
        if listeners.after_cursor_execute:
            listeners.after_cursor_execute(connection, cursor, sql, values, None, many)
        return answer(cursor)
    except connection.dialect.loaded_dbapi.Error as error:
        # All that SQLAlchemy knows about a failure: which exception it is, whether the connection is lost, the others
        # of the pool with it, and who listens. There is no public name for that.
        connection._handle_dbapi_exception(error, sql, None, cursor, None)  # noqa: SLF001
