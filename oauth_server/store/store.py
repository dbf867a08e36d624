"""`Store.write(verb)` and `Store.read(verb)`: the only two ways to run a verb."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Concatenate, Final, Literal, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from oauth_server import metrics
from oauth_server.store.at_once import AtOnce, is_by_key
from oauth_server.store.circuit import Circuit
from oauth_server.store.engines import POOL_SIZE, DatabaseFile, open_at_once, open_engines
from oauth_server.store.errors import StoreError, StoreUnavailableError, first_line
from oauth_server.store.migrate import migrate
from oauth_server.store.verbs.audit import recorded, recording
from oauth_server.store.work import Work
from oauth_server.store.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")
ANSWER_SECONDS: Final = 10.0  # from the call to the answer, or StoreUnavailableError
CLOSE_SECONDS = 10
# PostgreSQL's undefined_table, undefined_column and insufficient_privilege: what somebody did to a database in use.
_MISSING: Final = frozenset({"42P01", "42703", "42501"})


class Store:
    """A database opened for use, its schema brought up to date.

    A verb is a synchronous function whose first argument is a connection inside a transaction. It changes nothing else:
    where the database asks for that, it runs again.
    Raises StoreUnavailableError when the database does not answer, after ANSWER_SECONDS at the latest.
    """

    def __init__(self, database_url: str) -> None:
        self._write_engine, self._read_engine = open_engines(database_url)
        self.engine_name = self._write_engine.dialect.name
        self._at_once: AtOnce | None = None
        self.location = self._write_engine.url.render_as_string(hide_password=True)
        try:
            migrate(self._write_engine)
        except BaseException as error:
            self._dispose()
            if isinstance(error, DBAPIError):
                raise StoreError(f"the database cannot be reached or used: {first_line(error)}") from error
            raise
        sqlite = self.engine_name == "sqlite"
        self._file: DatabaseFile | None = None
        self._writer: Writer | None = None
        if sqlite:
            at_once = open_at_once(self._write_engine.url)
            self._file = DatabaseFile(self._write_engine, self._read_engine, at_once)
            self._at_once = AtOnce(at_once, self._file)
            self._writer = Writer(at_once, self._file)
        self._reading = Circuit(ANSWER_SECONDS, time.monotonic)
        # On SQLite, what keeps writers waiting keeps no reader.
        self._writing = Circuit(ANSWER_SECONDS, time.monotonic) if sqlite else self._reading
        self._working = threading.Condition()
        self._at_work: set[Work[Any]] = set()
        self._limiter = anyio.CapacityLimiter(POOL_SIZE)
        self.write_failed = False
        """Whether the last write found the database unavailable: it may still be read."""
        self.answers = True
        """Whether the last use of it was answered."""

    async def write(self, verb: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb in a transaction; return after its commit is durable."""
        metrics.VERBS.add("write")
        try:
            answer = await self._write(partial(_with_connection, verb, args, kwargs), quick=_is_by_key(verb, args))
        except StoreUnavailableError:
            metrics.UNAVAILABLE.add("write")
            self.write_failed, self.answers = True, False
            raise
        self.write_failed, self.answers = False, True
        return answer

    async def read(self, verb: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb that only reads; on PostgreSQL each statement sees what is committed by then."""
        metrics.VERBS.add("read")
        if self._at_once is not None and _is_by_key(verb, args):
            with suppress(SQLAlchemyError, StoreUnavailableError):
                return self._at_once.run(partial(_with_connection, verb, args, kwargs))
        try:
            answer = await self._run("read", self._reading, partial(_with_connection, verb, args, kwargs))
        except StoreUnavailableError:
            metrics.UNAVAILABLE.add("read")
            self.answers = False
            raise
        self.answers = True
        return answer

    async def scrub(self) -> bool:
        """Empty SQLite's write-ahead log, whose older pages still have what was deleted since; whether that was done.

        What a PostgreSQL keeps of deleted rows is its operator's matter.
        """
        return self._writer is None or await anyio.to_thread.run_sync(self._writer.empty_log)

    @property
    def failure(self) -> str | None:
        """Why only a new start of the process can help; None where that would not help, or nothing is wrong."""
        if self._writer is not None and not self._writer.alive:
            return "the thread that writes has ended"
        return self._file.failure if self._file is not None else None

    def close(self) -> None:
        """Finish what waits and close every connection."""
        if self._writer is not None:
            self._writer.close()
        with self._working:
            # A caller that was cancelled leaves its verb running, with a connection that would never be closed.
            self._working.wait_for(lambda: not self._at_work, timeout=CLOSE_SECONDS)
            for work in self._at_work:
                work.cut()
        self._dispose()

    def _dispose(self) -> None:
        self._write_engine.dispose()
        self._read_engine.dispose()
        if self._at_once is not None:
            self._at_once.close()

    async def _write(self, job: Callable[[Connection], T], *, quick: bool) -> T:
        if self._writer is None:
            return await self._run("write", self._writing, partial(_recording, job))
        # In the caller's context, as in a worker thread: what a verb records has the caller's address.
        context = copy_context()
        with _TOLD, self._writing.trial():
            answer: T = await self._writer.submit(
                lambda connection: context.run(job, connection), quick=quick, seconds=ANSWER_SECONDS
            )
            return answer

    async def _run(self, kind: Literal["read", "write"], circuit: Circuit, job: Callable[[Connection], T]) -> T:
        circuit.check()  # before waiting for a thread, all of which may wait for the database
        work = Work(self._write_engine if kind == "write" else self._read_engine, job, reads=kind == "read")
        with _TOLD:
            try:
                with anyio.fail_after(ANSWER_SECONDS):
                    run = partial(self._in_thread, kind, circuit, work)
                    return await anyio.to_thread.run_sync(run, limiter=self._limiter, abandon_on_cancel=True)
            except BaseException as error:
                # Nobody waits for it any more, where it still runs.
                work.cut(given_up=not isinstance(error, TimeoutError))
                raise

    def _in_thread(self, kind: str, circuit: Circuit, work: Work[T]) -> T:
        with self._working:
            self._at_work.add(work)
        try:
            started = time.perf_counter()
            with circuit.trial():
                answer = work.run()
            metrics.TRANSACTION_SECONDS.observe(time.perf_counter() - started, kind)
            return answer
        finally:
            with self._working:
                self._at_work.discard(work)
                self._working.notify_all()


class _Told:
    """Turns what a database that does not answer raises into StoreUnavailableError."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, TimeoutError):
            raise StoreUnavailableError(f"no answer within {ANSWER_SECONDS:.0f} seconds") from None
        if isinstance(error, (OperationalError, PoolTimeoutError)) or (
            isinstance(error, DBAPIError)
            and (error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _MISSING)
        ):
            raise StoreUnavailableError(first_line(error)) from error


_TOLD: Final = _Told()


def _is_by_key(verb: Callable[..., Any], args: tuple[object, ...]) -> bool:
    return is_by_key(args[1] if verb is recorded else verb)


def _with_connection(
    verb: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object], connection: Connection
) -> T:
    return verb(connection, *args, **kwargs)


def _recording(job: Callable[[Connection], T], connection: Connection) -> T:
    with recording(connection):
        return job(connection)
