"""Opening the database: SQLite in WAL with a file only its owner can read, or PostgreSQL through psycopg 3."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from oauth_server.store.errors import StoreError

APPLICATION = "mcp-docker-server"  # how PostgreSQL lists our connections, unless the URL says otherwise
BUSY_TIMEOUT_MS = 10_000
POOL_SIZE = 8
_DURABLE = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


def parse_url(database_url: str | URL) -> URL:
    """Parse `sqlite:///…` or `postgresql://…` (or `postgres://…`); anything else is a StoreError."""
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise StoreError("the database URL cannot be parsed") from error
    if url.drivername.split("+")[0] in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    raise StoreError(f"a database of kind {url.drivername!r} is not supported")


def _prepare_file(path: Path) -> None:
    """Create the data folder (0700) and the database file (0600), so that nobody else ever reads a key in it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror})") from error


def _sqlite(url: URL, begin: str, pool_size: int, pragmas: tuple[str, ...] = _DURABLE) -> Engine:
    # The pool's rollback on return ends what a failed COMMIT leaves open (a full disk, for one).
    engine = create_engine(
        url, connect_args={"check_same_thread": False}, pool_size=pool_size, max_overflow=0, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, see below
        try:
            for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", *pragmas):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()  # the pool never sees it, and it may hold a lock
            raise

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql(url: URL, pool_size: int) -> Engine:
    # synchronous_commit: an answer leaves after its commit is on disk, whatever the database's own configuration says.
    options = "-c statement_timeout=10000 -c lock_timeout=5000 -c synchronous_commit=on"
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,  # an error goes to the log, and what a statement was given must not
        connect_args={"connect_timeout": 5, "fallback_application_name": APPLICATION, "options": options},
    )


def open_engines(database_url: str | URL) -> tuple[Engine, Engine]:
    """The engine to write with and the engine to read with; on PostgreSQL they are the same."""
    url = parse_url(database_url)
    if url.get_backend_name() == "sqlite":
        _prepare_file(Path(str(url.database)))
        # IMMEDIATE takes the write lock at once: a transaction that reads first can then never fail half-way.
        return _sqlite(url, "BEGIN IMMEDIATE", 1), _sqlite(url, "BEGIN", POOL_SIZE)
    engine = _postgresql(url, POOL_SIZE)
    return engine, engine


def open_to_read(url: URL) -> Engine:
    """An engine that reads a database as it is: nothing about the file is changed, none is made."""
    if url.get_backend_name() == "sqlite":
        if not Path(str(url.database)).is_file():
            raise StoreError(f"there is no database at {url.render_as_string()}")
        return _sqlite(url, "BEGIN", 1, ("query_only=ON",))
    return _postgresql(url, 1)


def open_alone(url: URL) -> Engine:
    """An engine that replaces what a database holds.

    On SQLite it connects only while nobody else has the file open, and keeps everybody out until it is closed.
    """
    if url.get_backend_name() == "sqlite":
        _prepare_file(Path(str(url.database)))
        return _sqlite(url, "BEGIN IMMEDIATE", 1, ("busy_timeout=1000", "locking_mode=EXCLUSIVE", *_DURABLE))
    return _postgresql(url, 1)
