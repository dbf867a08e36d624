"""`Store.write(verb)` and `Store.read(verb)`: the only two ways to run a verb."""

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from oauth_server.store.engines import POOL_SIZE, open_engines
from oauth_server.store.errors import StoreError, StoreUnavailableError
from oauth_server.store.migrate import migrate
from oauth_server.store.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")


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
                raise StoreError(f"the database cannot be reached or used: {_first_line(error)}") from error
            raise
        self._writer = Writer(self._write_engine) if self.engine_name == "sqlite" else None
        self._limiter = anyio.CapacityLimiter(POOL_SIZE)

    async def write(self, verb: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb in a transaction; return after its commit is durable."""
        job = partial(_with_connection, verb, args, kwargs)
        try:
            if self._writer is not None:
                # In the caller's context, as in a worker thread: what a verb records has the caller's address.
                answer: T = await self._writer.submit(partial(copy_context().run, job))
                return answer
            return await anyio.to_thread.run_sync(self._transact, job, limiter=self._limiter)
        except (OperationalError, PoolTimeoutError) as error:
            raise StoreUnavailableError(_first_line(error)) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise StoreUnavailableError(_first_line(error)) from error
            raise

    async def read(self, verb: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb that only reads, on one consistent snapshot."""
        job = partial(_with_connection, verb, args, kwargs)
        try:
            return await anyio.to_thread.run_sync(self._look, job, limiter=self._limiter)
        except (OperationalError, PoolTimeoutError) as error:
            raise StoreUnavailableError(_first_line(error)) from error

    def close(self) -> None:
        """Finish what waits and close every connection."""
        if self._writer is not None:
            self._writer.close()
        self._dispose()

    def _dispose(self) -> None:
        self._write_engine.dispose()
        self._read_engine.dispose()

    def _transact(self, job: Callable[[Connection], T]) -> T:
        with self._write_engine.begin() as connection:
            return job(connection)

    def _look(self, job: Callable[[Connection], T]) -> T:
        with self._read_engine.begin() as connection:
            return job(connection)


def _with_connection(
    verb: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object], connection: Connection
) -> T:
    return verb(connection, *args, **kwargs)


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
