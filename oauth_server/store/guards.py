"""Guards of the audit log: triggers by which the database itself refuses to change it, on both engines.

Rows never change. A lane grows by one row at a time. A row leaves only when its time to be kept is over by the clock of
the database, and the anchor of its lane is past it. An anchor moves only forward, to a row whose successor is kept and
has reached that time too: so the oldest row of a lane always shows that what left before it was old enough.

How long events are kept is said by the newest event RETENTION of the log itself; while there is none, nothing leaves.
The owner of the database can drop the triggers. What is done then is found by the chain and a mark (see chain.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, inspect

from oauth_server.store.schema import RETENTION, audit_legacy_anchors

OLDEST: Final = 1000  # an anchor moves within so many of the oldest rows, which bounds what a check of it reads
_REFUSED = "the audit log is append-only"
_NEWEST = f"FROM audit WHERE event = '{RETENTION}' ORDER BY id DESC LIMIT 1"
_DAYS = {
    "sqlite": f"(SELECT CAST(detail AS INTEGER) {_NEWEST})",
    "postgresql": f"(SELECT CAST(substring(detail FROM '^[0-9]+') AS bigint) {_NEWEST})",  # noqa: S608 - of constants
}
_NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
}
_ANCHOR = "coalesce((SELECT position FROM audit_anchors WHERE lane = {row}.lane), 0)"
_KEPT = _ANCHOR.format(row="NEW")
_OLD_ROWS = f"(SELECT lane, position, hash, at FROM audit ORDER BY id LIMIT {OLDEST})"  # noqa: S608 - of constants
_AMONG = f"FROM {_OLD_ROWS} AS oldest WHERE lane = NEW.lane"
_SAME_LANE = "NEW.lane = OLD.lane"
_ONE_MORE = f"{_SAME_LANE} AND NEW.position = OLD.position + 1"
_MOVES_HEAD = "UPDATE {schema}audit_heads SET position = NEW.position, hash = NEW.hash WHERE lane = NEW.lane"
_TABLES: Final = ("audit", "audit_heads", "audit_anchors", "audit_legacy_anchors")


def _ended(dialect: str) -> str:
    """The condition that `at` is past the time to be kept; NULL, which is no yes, while no such time is known."""
    return f"{_DAYS[dialect]} > 0 AND at <= {_NOW[dialect]} - {_DAYS[dialect]} * 86400.0"


def _may_leave(dialect: str) -> str:
    ended = _ended(dialect).replace("at <=", "OLD.at <=")
    return f"OLD.position <= {_ANCHOR.format(row='OLD')} AND {ended}"


def _may_move(dialect: str) -> str:
    """The condition that an anchor moves forward, over rows that are all there and past their time with the next."""
    ended = f"position <= NEW.position + 1 AND {_ended(dialect)}"
    return (
        f"NEW.position > {_KEPT} AND (SELECT count(*) {_AMONG} AND {ended}) = NEW.position + 1 - {_KEPT} "
        f"AND EXISTS (SELECT 1 {_AMONG} AND position = NEW.position AND hash = NEW.hash)"
    )


def _rules(dialect: str) -> dict[str, tuple[str, str, str]]:
    """By trigger: the operation, the table, and the condition under which it is done."""
    moves = _may_move(dialect)
    rules = {
        "audit_unchanged": ("UPDATE", "audit", "1 = 0"),
        "audit_kept": ("DELETE", "audit", _may_leave(dialect)),
        "audit_heads_begun": ("INSERT", "audit_heads", "NEW.position = 0"),
        "audit_heads_moved": ("UPDATE", "audit_heads", _ONE_MORE),
        "audit_heads_kept": ("DELETE", "audit_heads", "1 = 0"),
        "audit_anchors_begun": ("INSERT", "audit_anchors", moves),
        "audit_anchors_moved": ("UPDATE", "audit_anchors", f"{_SAME_LANE} AND {moves}"),
        "audit_anchors_kept": ("DELETE", "audit_anchors", "1 = 0"),
        "audit_legacy_begun": ("INSERT", "audit_legacy_anchors", "1 = 0"),
        "audit_legacy_moved": ("UPDATE", "audit_legacy_anchors", "1 = 0"),
        "audit_legacy_kept": ("DELETE", "audit_legacy_anchors", "1 = 0"),
    }
    if dialect == "sqlite":
        # INSERT OR REPLACE deletes the row that has the key, and no trigger for that runs.
        rules["audit_not_replaced"] = ("INSERT", "audit", "NOT EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)")
        taken = "EXISTS (SELECT 1 FROM audit_heads WHERE lane = NEW.lane)"
        rules["audit_heads_begun"] = ("INSERT", "audit_heads", f"NEW.position = 0 AND NOT {taken}")
    return rules


def install(connection: Connection) -> None:
    """Put the guards in place, in the caller's transaction; those of an earlier release are replaced."""
    lift(connection)
    for statement in _sqlite() if connection.dialect.name == "sqlite" else _postgresql(_schema(connection)):
        connection.exec_driver_sql(statement)


def lift(connection: Connection) -> None:
    """Take the guards away, in the caller's transaction."""
    of_postgresql = connection.dialect.name == "postgresql"
    tables = {name: table for name, (_, table, _) in _rules(connection.dialect.name).items()} | {"audit_added": "audit"}
    if of_postgresql:
        tables |= {f"{table}_truncated": table for table in _TABLES}
    for name, table in tables.items():
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}" + (f" ON {table}" if of_postgresql else ""))


@contextmanager
def lifted(connection: Connection) -> Iterator[None]:
    """Let a database be filled from another one; a schema from before the guards has none to take away."""
    guarded = inspect(connection).has_table(audit_legacy_anchors.name)
    if guarded:
        lift(connection)
    yield
    if guarded:
        install(connection)


def lets_go(connection: Connection) -> tuple[float, int] | None:
    """Which events may leave by now, by the database's own clock; None while none may.

    Those that happened by the time (Unix seconds), before the event of the id, which says for how long they are kept.
    """
    dialect = connection.dialect.name
    said = f"{_DAYS[dialect]}, (SELECT id {_NEWEST}), {_NOW[dialect]}"
    days, event_id, now = connection.exec_driver_sql(f"SELECT {said}").one()
    return (now - days * 86_400, event_id) if days else None


def _sqlite() -> Iterator[str]:
    for name, (operation, table, condition) in _rules("sqlite").items():
        refused = f"WHEN NOT coalesce({condition}, 0) BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        yield f"CREATE TRIGGER {name} BEFORE {operation} ON {table} {refused}"
    yield f"CREATE TRIGGER audit_added AFTER INSERT ON audit BEGIN {_MOVES_HEAD.format(schema='')}; END"


def _schema(connection: Connection) -> str:
    own = "SELECT CAST(relnamespace::regnamespace AS text) FROM pg_class WHERE oid = 'audit'::regclass"
    return str(connection.exec_driver_sql(own).scalar_one())


def _postgresql(schema: str) -> Iterator[str]:
    # Temporary tables are looked for first, unless pg_temp is named: one called `audit` must not stand for the log.
    path = f"SET search_path = {schema}, pg_temp"
    as_trigger = "RETURNS trigger LANGUAGE plpgsql"
    refuse = f"RAISE EXCEPTION '{_REFUSED}'"
    moved = _MOVES_HEAD.format(schema=f"{schema}.")
    yield f"CREATE OR REPLACE FUNCTION audit_added() {as_trigger} AS $$ BEGIN {moved}; RETURN NULL; END $$"
    yield "CREATE TRIGGER audit_added AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_added()"
    yield f"CREATE OR REPLACE FUNCTION audit_unchanged() {as_trigger} AS $$ BEGIN {refuse}; END $$"
    for name, (operation, table, condition) in _rules("postgresql").items():
        function, when = "audit_unchanged", ""
        if condition in (_ONE_MORE, "NEW.position = 0"):  # each event moves a head: judged without a call
            when = f"WHEN (({condition}) IS NOT TRUE)"
        elif condition != "1 = 0":
            function, row = name, "OLD" if operation == "DELETE" else "NEW"
            body = f"BEGIN IF ({condition}) IS NOT TRUE THEN {refuse}; END IF; RETURN {row}; END"
            yield f"CREATE OR REPLACE FUNCTION {name}() {as_trigger} {path} AS $$ {body} $$"
        yield f"CREATE TRIGGER {name} BEFORE {operation} ON {table} FOR EACH ROW {when} EXECUTE FUNCTION {function}()"
    for table in _TABLES:
        once = "FOR EACH STATEMENT EXECUTE FUNCTION audit_unchanged()"
        yield f"CREATE TRIGGER {table}_truncated BEFORE TRUNCATE ON {table} {once}"
