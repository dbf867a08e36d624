"""Reads of a row or two by their keys, in the thread that asks: another thread would cost several times what they do.

SQLite alone, whose reads wait for nobody: what would have to wait is left to a thread.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from oauth_server.store.engines import DatabaseFile
from oauth_server.store.errors import StoreUnavailableError

T = TypeVar("T")
V = TypeVar("V", bound=Callable[..., Any])
_by_key: set[Callable[..., Any]] = set()


def by_key(verb: V) -> V:
    """Mark a verb that reads, and may write, a handful of rows by their keys, whatever it is given."""
    _by_key.add(verb)
    return verb


def is_by_key(verb: object) -> bool:
    """Whether a verb was marked so."""
    return verb in _by_key


class AtOnce:
    """One connection that never waits. Each statement of a verb sees what is committed by then, as on PostgreSQL."""

    def __init__(self, engine: Engine, file: DatabaseFile) -> None:
        self._engine = engine
        self._file = file
        self._connection: Connection | None = None
        self._taken = threading.Lock()  # a store may serve the loops of several threads

    def run(self, job: Callable[[Connection], T]) -> T:
        """The job's answer. Raises StoreUnavailableError where somebody has to wait, or see what is wrong."""
        if not self._taken.acquire(blocking=False):
            raise StoreUnavailableError("another thread reads")
        try:
            self._file.check()
            if self._connection is None:
                self._connection = self._engine.connect()
                self._connection.begin()  # for SQLAlchemy, which would begin anew each time; SQLite is told nothing
            return job(self._connection)
        except BaseException:
            self._drop()
            raise
        finally:
            self._taken.release()

    def close(self) -> None:
        """Close the connection."""
        with self._taken:
            self._drop()
        self._engine.dispose()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
