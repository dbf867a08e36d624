"""Opening the database: SQLite in WAL with a file only its owner can read, or PostgreSQL through psycopg 3."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import ArgumentError

from oauth_server.store import private_files
from oauth_server.store.errors import StoreError, StoreUnavailableError

APPLICATION = "mcp-docker-server"  # how PostgreSQL lists our connections, unless the URL says otherwise
BUSY_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 5_000  # PostgreSQL: for the lock of a row or table
POOL_SIZE = 8
DURABLE = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    # What is deleted is overwritten, also in pages that nothing uses any more: a copy of the file has none of it.
    "secure_delete=ON",
    # A reader that stays long makes the WAL grow; once it is gone, the file is cut to this many bytes again.
    "journal_size_limit=67108864",
    # Pages. A bound alone, within a commit: the WAL is written back beside the traffic (checkpoints.py).
    "wal_autocheckpoint=16000",
)
# Milliseconds. The server ends what takes too long before we stop waiting (store.ANSWER_SECONDS), and the transaction
# of a machine that vanished soon after. Set by a statement: poolers such as PgBouncer refuse start-up parameters.
_SERVING = {"statement_timeout": 8_000, "lock_timeout": LOCK_TIMEOUT_MS, "idle_in_transaction_session_timeout": 20_000}
_MOVING = {"statement_timeout": 10_000, "lock_timeout": LOCK_TIMEOUT_MS}
# Where a machine vanishes, TCP learns it only by these; libpq's own defaults wait for hours.
_TCP = {
    "connect_timeout": 3,  # seconds, for each address of the host
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
_READ_ONLY = "25006"  # read_only_sql_transaction


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


def _sqlite(url: URL, begin: str | None, pool_size: int, pragmas: tuple[str, ...] = DURABLE) -> Engine:
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

    if begin is not None:

        @event.listens_for(engine, "begin")
        def start(connection: Any) -> None:
            connection.exec_driver_sql(begin)

    return engine


def _postgresql(url: URL, pool_size: int, timeouts: Mapping[str, int] = _MOVING) -> Engine:
    # No ping before each verb, which would cost a round trip: a verb that meets a dead connection runs again (work.py).
    # No prepared statements: they break behind poolers in transaction mode, and are worth little here.
    own = {"fallback_application_name": APPLICATION, "prepare_threshold": None}
    # What the operator's URL says about the connection stands.
    tcp = {name: value for name, value in _TCP.items() if name not in url.query}
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_use_lifo=True,
        hide_parameters=True,  # an error goes to the log, and what a statement was given must not
        connect_args={**own, **tcp},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        # An answer leaves after its commit is on disk, whatever the database's own configuration says.
        own = {**timeouts, "synchronous_commit": "on"}
        connection.execute(";".join(f"SET {name} = {value}" for name, value in own.items()))
        connection.autocommit = False

    @event.listens_for(engine, "handle_error")
    def judge(context: ExceptionContext) -> None:
        # After a failover the old primary may answer on, and refuse to write: every connection to it is useless.
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True

    return engine


class DatabaseFile:
    """Keeps connections and transactions from a SQLite file that is gone or was replaced.

    What they wrote there would be lost, and a new connection would make a new file, or apply the old WAL to the other
    one. Raises StoreUnavailableError instead.
    """

    def __init__(self, *engines: Engine) -> None:
        self._path = str(engines[0].url.database)
        self._opened = self._identity()
        for engine in engines:
            event.listen(engine, "do_connect", self.check)
            event.listen(engine, "begin", self.check, insert=True)

    @property
    def failure(self) -> str | None:
        """What is wrong where another file stands there now; None for the one that was opened, and for none at all."""
        found = self._identity()
        return "the database file was replaced" if found not in (None, self._opened) else None

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - twice as fast, for each transaction
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def check(self, *_: Any) -> None:
        """Raise StoreUnavailableError unless the file is the one that was opened."""
        if self._identity() != self._opened:
            raise StoreUnavailableError(self.failure or "the database file is gone")


def open_engines(database_url: str | URL) -> tuple[Engine, Engine]:
    """The engine to write with and the engine to read with; on PostgreSQL they are the same."""
    url = parse_url(database_url)
    if url.get_backend_name() == "sqlite":
        private_files.prepare(Path(str(url.database)))
        # IMMEDIATE takes the write lock at once: a transaction that reads first can then never fail half-way.
        return _sqlite(url, "BEGIN IMMEDIATE", 1), _sqlite(url, "BEGIN", POOL_SIZE)
    engine = _postgresql(url, POOL_SIZE, _SERVING)
    return engine, engine


def open_at_once(url: URL) -> Engine:
    """An engine on SQLite for a reader and a writer, which keep their connections, and checkpoints: it never waits."""
    return _sqlite(url, None, 3, (*DURABLE, "busy_timeout=0"))


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
        private_files.prepare(Path(str(url.database)))
        return _sqlite(url, "BEGIN IMMEDIATE", 1, ("busy_timeout=1000", "locking_mode=EXCLUSIVE", *DURABLE))
    return _postgresql(url, 1)
