"""A circuit breaker: while the database does not answer, one caller at a time waits to see whether it does again."""

import math
import threading
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from oauth_server.store.errors import StoreUnavailableError

SLOW: Final = 1.0  # seconds; what fails sooner keeps nobody waiting, and everybody may try for themselves
REST: Final = 1.0  # seconds after which the next one tries


class Circuit:
    """Opens when a call found the database out of reach, and took long to find out; closes when one succeeds.

    `longest` is how many seconds a call may take. Used from several threads.
    """

    def __init__(self, longest: float, steady: Callable[[], float]) -> None:
        self._longest = longest
        self._steady = steady
        self._lock = threading.Lock()
        self._next_try = -math.inf
        self._open = False

    def check(self) -> None:
        """Refuse at once, with StoreUnavailableError, where somebody else is to find out first."""
        if self._open and self._steady() < self._next_try:
            raise StoreUnavailableError("the database did not answer a moment ago")

    def trial(self) -> "_Trial":
        """One call, which may be the one that tries; what it raises goes on to the caller."""
        return _Trial(self)

    def begin(self) -> float:
        """A call begins, unless somebody else is to find out first; when."""
        began = self._steady()
        if self._open:
            with self._lock:
                self.check()
                self._next_try = began + self._longest
        return began

    def end(self, began: float, error: BaseException | None) -> None:
        """A call ended, by what it raised if it did; one that was given up found nothing out."""
        if error is None or (isinstance(error, Exception) and not out_of_reach(error)):
            self._open = False
            return
        with self._lock:
            now = self._steady()
            if isinstance(error, Exception) and now - began >= SLOW:
                self._open, self._next_try = True, now + REST
            elif self._next_try == began + self._longest:  # it was the one that tries; now the next one does
                self._next_try = now


class _Trial:
    """A call as a context."""

    __slots__ = ("_began", "_circuit")

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def __enter__(self) -> None:
        self._began = self._circuit.begin()

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._circuit.end(self._began, error)


def out_of_reach(error: Exception) -> bool:
    """Whether the database did not answer at all: an answer has an SQLSTATE, and a rule's own exception has neither."""
    if isinstance(error, DBAPIError):
        answered = getattr(error.orig, "sqlstate", None) is not None
        return error.connection_invalidated or (isinstance(error, OperationalError) and not answered)
    return isinstance(error, (TimeoutError, PoolTimeoutError))
