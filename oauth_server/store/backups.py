"""Backups: one SQLite file, whichever engine the server uses, that nobody else may read."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from oauth_server.store.engines import parse_url
from oauth_server.store.errors import NotMovedError, StoreError
from oauth_server.store.migrate import HEAD
from oauth_server.store.moving import bring_up_to_date, copy, schema_of

T = TypeVar("T")


def backup(url: str, file: Path, *, force: bool) -> dict[str, int]:
    """Write a snapshot of a database to a file (0600), beside a running server; the rows of each table.

    The file appears when it is complete and verified. Raises NotMovedError where there is one, unless `force`.
    """
    schema_of(url)  # what is wrong with the database is told before anything about the file
    if file.exists() and not force:
        raise _exists(file)
    if _is_database(file, parse_url(url)):
        raise NotMovedError(f"{file} is the database itself")
    try:
        with TemporaryDirectory(dir=file.parent, prefix=".backup-") as folder:
            made = Path(folder) / "backup.db"
            copied, _ = copy(url, _url(made), lambda _: None)
            _seal(made, copied)
            _put(made, file, force=force)
    except OSError as error:
        raise NotMovedError(f"{file} cannot be written ({error.strerror})") from error
    return copied


def restore(file: Path, url: str, finish: Callable[[Connection], T], *, replace: bool) -> tuple[dict[str, int], T]:
    """Fill a database from a backup, of an older schema too, then run `finish`: as `moving.copy` does."""
    with TemporaryDirectory() as folder:
        source = _url(file)
        if schema_of(source) != HEAD:
            older, source = source, _url(Path(folder) / "migrated.db")
            copy(older, source, lambda _: None)
            bring_up_to_date(source)
        return copy(source, url, finish, replace=replace)


def verify(file: Path) -> None:
    """Raise StoreError unless the file is a whole database of ours."""
    if not file.is_file():
        raise StoreError(f"there is no file {file}")
    with _opened(file) as connection:
        _check(connection)
    if schema_of(_url(file)) is None:
        raise StoreError(f"{file} holds nothing of a server")


def _url(file: Path) -> URL:
    return URL.create("sqlite", database=str(file))


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(file)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StoreError(f"{file} cannot be read as a database: {error}") from error


def _check(connection: sqlite3.Connection) -> None:
    found = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
    if found != ["ok"]:
        raise StoreError(f"the file is damaged: {found[0]}")
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        raise StoreError("the file is damaged: a row refers to another that is not there")


def _seal(file: Path, copied: dict[str, int]) -> None:
    """Make one file of it, without a log beside it, and look at what is on disk."""
    with _opened(file) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        _check(connection)
        for table, rows in copied.items():
            (there,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - from the schema
            if there != rows:
                raise NotMovedError(f"table {table} has {there} rows on disk instead of {rows}")


def _put(made: Path, file: Path, *, force: bool) -> None:
    """Give the finished file its name, which nobody may have taken meanwhile; it stays there through a power cut."""
    if not force:
        try:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise _exists(file) from None
    made.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_database(file: Path, url: URL) -> bool:
    """Whether this is the file a server writes to, or one beside it: replacing it would lose what it writes next."""
    if url.get_backend_name() != "sqlite":
        return False
    own = Path(str(url.database)).resolve()
    return file.resolve() in {own, *(own.with_name(own.name + suffix) for suffix in ("-wal", "-shm"))}


def _exists(file: Path) -> NotMovedError:
    return NotMovedError(f"{file} is there already: choose another name, or say --force")
