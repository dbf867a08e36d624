"""`Store.write(verb)` and `Store.read(verb)`: the only two ways to run a verb."""

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from oauth_server import metrics
from oauth_server.store.engines import POOL_SIZE, open_engines
from oauth_server.store.errors import StoreError, StoreUnavailableError, first_line
from oauth_server.store.migrate import migrate
from oauth_server.store.verbs.audit import recording
from oauth_server.store.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")
CLOSE_SECONDS = 10  # as long as a statement may run


class Store:
    """A database opened for use, its schema brought up to date.

    A verb is a synchronous function whose first argument is a connection inside a transaction.
    Raises StoreUnavailableError when the database does not answer.
    """

    def __init__(self, database_url: str) -> None:
        self._write_engine, self._read_engine = open_engines(database_url)
        self.engine_name = self._write_engine.dialect.name
        self.location = self._write_engine.url.render_as_string(hide_password=True)
        try:
            migrate(self._write_engine)
        except BaseException as error:
            self._dispose()
            if isinstance(error, DBAPIError):
                raise StoreError(f"the database cannot be reached or used: {first_line(error)}") from error
            raise
        self._writer = Writer(self._write_engine) if self.engine_name == "sqlite" else None
        self._working = threading.Condition()
        self._at_work = 0
        self._limiter = anyio.CapacityLimiter(POOL_SIZE)

    async def write(self, verb: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb in a transaction; return after its commit is durable."""
        job = partial(_with_connection, verb, args, kwargs)
        metrics.VERBS.add("write")
        try:
            if self._writer is not None:
                # In the caller's context, as in a worker thread: what a verb records has the caller's address.
                answer: T = await self._writer.submit(partial(copy_context().run, job))
                return answer
            return await anyio.to_thread.run_sync(self._transact, job, limiter=self._limiter)
        except (OperationalError, PoolTimeoutError) as error:
            metrics.UNAVAILABLE.add("write")
            raise StoreUnavailableError(first_line(error)) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                metrics.UNAVAILABLE.add("write")
                raise StoreUnavailableError(first_line(error)) from error
            raise

    async def read(self, verb: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb that only reads, on one consistent snapshot."""
        job = partial(_with_connection, verb, args, kwargs)
        metrics.VERBS.add("read")
        try:
            return await anyio.to_thread.run_sync(self._look, job, limiter=self._limiter)
        except (OperationalError, PoolTimeoutError) as error:
            metrics.UNAVAILABLE.add("read")
            raise StoreUnavailableError(first_line(error)) from error

    def close(self) -> None:
        """Finish what waits and close every connection."""
        if self._writer is not None:
            self._writer.close()
        with self._working:
            # A caller that was cancelled leaves its verb running, with a connection that would never be closed.
            self._working.wait_for(lambda: not self._at_work, timeout=CLOSE_SECONDS)
        self._dispose()

    def _dispose(self) -> None:
        self._write_engine.dispose()
        self._read_engine.dispose()

    def _transact(self, job: Callable[[Connection], T]) -> T:
        return self._run("write", self._write_engine, partial(_recording, job))

    def _look(self, job: Callable[[Connection], T]) -> T:
        return self._run("read", self._read_engine, job)

    def _run(self, kind: str, engine: Engine, job: Callable[[Connection], T]) -> T:
        with self._working:
            self._at_work += 1
        try:
            started = time.perf_counter()
            with engine.begin() as connection:
                answer = job(connection)
            metrics.TRANSACTION_SECONDS.observe(time.perf_counter() - started, kind)
            return answer
        finally:
            with self._working:
                self._at_work -= 1
                self._working.notify_all()


def _with_connection(
    verb: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object], connection: Connection
) -> T:
    return verb(connection, *args, **kwargs)


def _recording(job: Callable[[Connection], T], connection: Connection) -> T:
    with recording(connection):
        return job(connection)
