"""Moving a whole database: one snapshot is read, one transaction writes, and nothing is half done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from oauth_server.store import chain, copying, guards
from oauth_server.store.engines import open_alone, open_engines, open_to_read, parse_url
from oauth_server.store.errors import NotEmptyError, NotMovedError, StoreError, first_line
from oauth_server.store.marks import Mark
from oauth_server.store.migrate import HEAD, bring_to, keep_others_out, known_revision, migrate
from oauth_server.store.schema import epoch
from oauth_server.store.verbs import revocations
from oauth_server.store.verbs.audit import recording

T = TypeVar("T")
_LOCKED = "database is locked"  # what SQLite says while another connection has the file open


def schema_of(url: str | URL) -> str | None:
    """The revision of a database that exists, None where it is empty; changes nothing. Raises StoreError."""
    with snapshot(url) as connection:
        return known_revision(connection)


def bring_up_to_date(url: str | URL) -> str | None:
    """Migrate a database that exists; the revision it was at before. Raises StoreError."""
    before = schema_of(url)
    if before == HEAD:
        return before
    engine, _ = open_engines(url)
    try:
        return migrate(engine)
    except DBAPIError as error:
        raise StoreError(f"the database cannot be migrated: {first_line(error)}") from error
    finally:
        engine.dispose()


@contextmanager
def snapshot(url: str | URL) -> Iterator[Connection]:
    """Everything as it is at one moment, beside whoever writes on. Raises StoreError when it cannot be read."""
    engine = open_to_read(parse_url(url))
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            yield connection
    except DBAPIError as error:
        raise StoreError(f"the database cannot be reached or used: {first_line(error)}") from error
    finally:
        engine.dispose()


def check_log(url: str | URL, now: float, noted: Mark | None = None) -> chain.Checked:
    """Read the audit log of a database and hold it against its chain; changes nothing. Raises StoreError.

    `now` is the time in Unix seconds.
    """
    with snapshot(url) as connection:
        known_revision(connection)
        if not chain.is_chained(connection):
            raise StoreError("its audit log is not chained yet: run `migrate`")
        return chain.check(connection, now, noted)


def broken_log(url: str | URL, now: float) -> str | None:
    """What is wrong with the audit log of a database, None where nothing is, or it is older than the chain."""
    with snapshot(url) as connection:
        return chain.check(connection, now).broken if chain.is_chained(connection) else None


@contextmanager
def _alone(url: URL) -> Iterator[Connection]:
    """One transaction in a database that no other program of ours has open; a file made in vain is removed."""
    made = _new_file(url)
    engine = open_alone(url)
    try:
        with _connected(engine) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                _refuse_company(connection)
            yield connection
    except BaseException as error:
        engine.dispose()
        if made is not None:
            _remove(made)
        if isinstance(error, DBAPIError):
            raise NotMovedError(_explained(error)) from error
        raise
    finally:
        engine.dispose()


def _connected(engine: Engine) -> Connection:
    try:
        return engine.connect()
    except DBAPIError as error:
        if _LOCKED in str(error):
            raise
        raise StoreError(f"the database cannot be reached or used: {first_line(error)}") from error


def _explained(error: DBAPIError) -> str:
    line = first_line(error)
    return "a server, or another program, has the database open: stop it first" if _LOCKED in line else line


def _refuse_company(connection: Connection) -> None:
    """PostgreSQL lets a new owner in beside the old one: refuse where a program of our name is connected."""
    others = connection.execute(
        text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND application_name = current_setting('application_name')"
        )
    ).scalar()
    if others:
        raise NotMovedError("a server, or another command, is connected to the database: stop it first")


def _new_file(url: URL) -> Path | None:
    """The file that opening this database will create."""
    if url.get_backend_name() != "sqlite" or Path(str(url.database)).exists():
        return None
    return Path(str(url.database))


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def copy(
    source_url: str | URL, target_url: str | URL, finish: Callable[[Connection], T], *, replace: bool = False
) -> tuple[dict[str, int], T]:
    """Copy a database, then run `finish` in the same transaction; the rows of each table, and what it returned.

    The target must hold no row, unless `replace`; one without a schema gets that of the source. Raises StoreError
    for a database that cannot be used, NotMovedError for everything else, and then nothing has changed.
    """
    with snapshot(source_url) as source:
        revision = known_revision(source)
        if revision is None:
            raise StoreError("it holds nothing: no server has used it")
        with _alone(parse_url(target_url)) as target:
            _make_room(target, revision, replace=replace)
            before = revocations.current_epoch(target)
            with guards.lifted(target):
                if replace:
                    copying.clear(target)
                copied = copying.copy_rows(source, target)
            # Never lower than it was: a process with a higher one in memory would miss what is announced next.
            if before > revocations.current_epoch(target):
                target.execute(epoch.update().values(value=before))
            with recording(target):
                return copied, finish(target)


def _make_room(target: Connection, revision: str, *, replace: bool) -> None:
    """Refuse a target with rows or another schema; give an empty one the schema of the source."""
    keep_others_out(target)
    there = known_revision(target)
    if there is not None:
        _lock_tables(target)
    if there is not None and not replace and copying.holds_rows(target):
        raise NotEmptyError("the target is not empty")
    if there is None or replace:
        bring_to(target, revision)
        there = known_revision(target)
    if there != revision:
        raise NotMovedError(f"the target has schema {there}, the source {revision}: run `migrate` on the older one")


def _lock_tables(target: Connection) -> None:
    """Before it is asked whether they are empty; SQLite's lock is on the whole file."""
    if target.dialect.name == "postgresql":
        for table in copying.tables(target):
            target.execute(text(f"LOCK TABLE {table.name} IN ACCESS EXCLUSIVE MODE"))
