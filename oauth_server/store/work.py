"""One verb at work in a thread: repeated where that is safe, cut off where it takes too long."""

import os
import random
import socket
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")
CONFLICTS: Final = frozenset(
    {"40001", "40P01"}
)  # serialization_failure, deadlock_detected: rolled back, to be repeated
TIMES: Final = 4  # a verb runs at most, where each run met such a conflict
PAUSE: Final = 0.02  # seconds before it runs again, at most, and twice as long each time


class Work(Generic[T]):
    """A verb, the engine it runs on, and whatever connection it holds at the moment.

    `reads` says that the verb changes nothing.
    """

    def __init__(self, engine: Engine, verb: Callable[[Connection], T], *, reads: bool) -> None:
        self._engine = engine
        self._verb = verb
        self._reads = reads
        self._lock = threading.Lock()
        self._interrupt: Callable[[], None] | None = None
        self._cut = False
        self._given_up = False
        self._committing = False

    def run(self) -> T:
        """Run the verb in a transaction of its own, and commit.

        A conflict with other transactions is repeated a few times, and a connection that turned out to be dead once:
        a verb changes nothing but through its transaction. A verb that writes does not run again where the connection
        was lost during the commit, since nobody knows whether that took place. Raises CancelledError where it failed
        after its caller gave up: that tells nothing about the database.
        """
        try:
            return self._repeated()
        except Exception:
            if self._given_up:
                raise CancelledError from None
            raise

    def cut(self, *, given_up: bool = False) -> None:
        """End a statement that nobody waits for any more: its connection fails, and what it did is undone.

        `given_up` says that its caller left before it took too long.
        """
        with self._lock:
            self._cut, self._given_up = True, given_up
            if self._interrupt is not None:
                self._interrupt()

    def _repeated(self) -> T:
        conflicts, lost = 0, 0
        while True:
            try:
                return self._once()
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) in CONFLICTS:
                    conflicts += 1
                elif error.connection_invalidated and (self._reads or not self._committing):
                    lost += 1
                else:
                    raise
                if self._cut or conflicts >= TIMES or lost > 1:
                    raise
            time.sleep(random.uniform(0, PAUSE * 2**conflicts) if conflicts else 0)  # noqa: S311 - it only has to differ

    def _once(self) -> T:
        self._committing = False
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            descriptor = None if hasattr(driver, "interrupt") else os.dup(driver.fileno())  # type: ignore[union-attr]
            try:
                self._hold(driver, descriptor)
                answer = self._verb(connection)
                self._committing = True
                connection.commit()
            finally:
                with self._lock:
                    self._interrupt = None
                if descriptor is not None:
                    os.close(descriptor)
        return answer

    def _hold(self, driver: Any, descriptor: int | None) -> None:
        with self._lock:
            if self._cut:
                raise TimeoutError
            self._interrupt = driver.interrupt if descriptor is None else lambda: _shut(descriptor)


def _shut(descriptor: int) -> None:
    """Let whoever waits for the other side of a socket see its end. The number is a copy: nobody else closes it."""
    with socket.socket(fileno=os.dup(descriptor)) as copy, suppress(OSError):
        copy.shutdown(socket.SHUT_RDWR)
