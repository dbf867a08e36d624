"""The one writer of a process on SQLite: what waits is written together, and answered after one durable commit."""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from oauth_server import metrics
from oauth_server.store.checkpoints import Checkpoints, checkpoint
from oauth_server.store.engines import BUSY_TIMEOUT_MS, DatabaseFile
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.statements import command
from oauth_server.store.verbs.audit import Pending, recording

MAX_BATCH: Final = 256
MAX_AT_ONCE: Final = 64  # at some 50 us each
# How often, and how many seconds apart, the loop tries while another process writes, which seldom takes longer. After
# that the thread waits as SQLite does: ever longer, so that its turn comes late.
TRIES: Final = 20
PAUSE: Final = 0.001


class Job(NamedTuple):
    """One verb waiting to be run, whether it is quick, where its answer goes, and until when (the loop's time)."""

    verb: Callable[[Connection], Any]
    quick: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    until: float


class Outcome(NamedTuple):
    """What became of a job: exactly one of the two is meaningful."""

    job: Job
    value: Any
    error: BaseException | None


class _BusyError(Exception):
    """Another process writes."""


class _Batch(NamedTuple):
    """Jobs that are written together; what became of them, where they were run already and only the commit is due."""

    jobs: list[Job]
    outcomes: list[Outcome] | None


class Writer:
    """Serialises all writes of this process; each batch has one durable commit.

    Quick verbs are run in the loop that asks, and committed by a thread: handing each statement to and fro between two
    threads costs more than the statement. Whatever may take long, or has to wait long for another process, is run by
    the thread. One batch is under way at a time, and what is asked for meanwhile is the next.

    A verb that raises is rolled back alone: the batch runs again, each verb within a savepoint. No answer leaves before
    the commit that holds it is on disk. A verb whose caller gave up, or whose time was over, before it began is not
    run, also where its batch had to wait for another process: what was refused must not happen later.
    """

    def __init__(self, engine: Engine, file: DatabaseFile) -> None:
        self._engine = engine
        self._file = file
        self._connection: Connection | None = None
        self._patience = 0  # of the connection, in milliseconds
        self._collected: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        self._due: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._checkpoints = Checkpoints(engine)
        self._busy = False
        self._under_way: list[Job] = []
        self._watched: set[asyncio.AbstractEventLoop] = set()
        self._closed = False
        self._lock = threading.Lock()  # of the last six
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, verb: Callable[[Connection], Any], *, quick: bool, seconds: float) -> asyncio.Future[Any]:
        """Queue a verb; the future carries its return value or what it raised, TimeoutError after so many seconds.

        After the end: StoreUnavailableError.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        future: asyncio.Future[Any] = loop.create_future()
        with self._lock:
            if self._closed:
                raise StoreUnavailableError("the store is closed")
            collected = self._collected.get(loop)
            if collected is None:
                collected = self._collected[loop] = []
                loop.call_soon(self._begin, loop, 0, TRIES)
            collected.append(Job(verb, quick, loop, future, until))
            if loop not in self._watched:
                self._watched.add(loop)
                loop.call_at(until, self._watch, loop)
        return future

    def empty_log(self) -> bool:
        """Empty the write-ahead log, unless a reader needs it; whether that was done."""
        return self._checkpoints.empty()

    @property
    def alive(self) -> bool:
        """Whether the thread runs, as it does until the end."""
        return self._closed or self._thread.is_alive()

    def close(self) -> None:
        """Run what waits, then end the thread."""
        with self._lock:
            self._closed = True
        self._due.put(None)
        self._thread.join()
        self._checkpoints.close()

    def _begin(self, loop: asyncio.AbstractEventLoop, seen: int, tries: int) -> None:
        """Begin a batch with what waits, unless the last turn of the loop brought more: then the next may as well."""
        waiting = len(self._collected.get(loop, ()))
        if seen < waiting < MAX_AT_ONCE:
            loop.call_soon(self._begin, loop, waiting, tries)
            return
        jobs = self._take(loop)
        if not jobs:
            return
        outcomes = None
        if len(jobs) <= MAX_AT_ONCE and all(job.quick for job in jobs):
            try:
                outcomes = self._run_at_once(jobs)
            except _BusyError:
                if tries:
                    self._put_back(loop, jobs)
                    loop.call_later(PAUSE, self._begin, loop, 0, tries - 1)
                    return
        self._due.put(_Batch(jobs, outcomes))

    def _put_back(self, loop: asyncio.AbstractEventLoop, jobs: list[Job]) -> None:
        """Let what `_take` gave wait on, in the same turn of the loop: nothing was asked for since.

        Nor did it leave anything behind, which it does of more than MAX_BATCH alone.
        """
        with self._lock:
            self._busy, self._under_way = False, []
            self._collected[loop] = jobs

    def _take(self, loop: asyncio.AbstractEventLoop) -> list[Job]:
        """What waits in a loop, unless a batch is under way; that of the caller is from now on."""
        with self._lock:
            asked = [] if self._busy else self._collected.pop(loop, [])
            waiting = [job for job in asked if not job.future.done()]
            if waiting[MAX_BATCH:]:
                self._collected[loop] = waiting[MAX_BATCH:]
            if waiting:
                self._busy, self._under_way = True, waiting[:MAX_BATCH]
        return waiting[:MAX_BATCH]

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer whoever waits too long. One timer for all of a loop, which a timer for each would cost more than."""
        now = loop.time()
        with self._lock:
            asked = [*self._under_way, *self._collected.get(loop, ())]
            waiting = [job for job in asked if job.loop is loop and not job.future.done()]
            later = [job.until for job in waiting if job.until > now]
            if later:
                loop.call_at(min(later), self._watch, loop)
            else:
                self._watched.discard(loop)
        for job in waiting:
            if job.until <= now:
                job.future.set_exception(TimeoutError())

    def _run(self) -> None:
        ending = False
        while not ending or self._busy:
            batch = self._due.get()
            if batch is not None:
                self._finish(batch)
            ending = ending or batch is None
            for loop in list(self._collected) if ending else ():
                while jobs := self._take(loop):
                    self._finish(_Batch(jobs, None))
        self._drop()

    def _finish(self, batch: _Batch) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
        for outcome in self._commit(batch):
            by_loop.setdefault(outcome.job.loop, []).append(outcome)
        if self._checkpoints.rest and self._connection is not None:
            self._answer(by_loop)
            by_loop = {}
            self._checkpoint(self._connection)
        with self._lock:
            self._busy, self._under_way = False, []
            for loop in self._collected:
                by_loop.setdefault(loop, [])
        self._answer(by_loop)

    def _checkpoint(self, connection: Connection) -> None:
        """Write the rest of the WAL back, which is little: the next write then begins it anew."""
        self._checkpoints.rest = False
        with suppress(SQLAlchemyError):  # the next write meets it as well, and tells
            checkpoint(connection)

    def _answer(self, by_loop: Mapping[asyncio.AbstractEventLoop, list[Outcome]]) -> None:
        for loop, settled in by_loop.items():
            try:
                loop.call_soon_threadsafe(self._settle, loop, settled)
            except RuntimeError:  # the loop has ended, and with it whoever waited
                with self._lock:
                    self._collected.pop(loop, None)

    def _settle(self, loop: asyncio.AbstractEventLoop, outcomes: list[Outcome]) -> None:
        for job, value, error in outcomes:
            if job.future.done():  # the caller gave up, or was told that it takes too long; the commit stands
                continue
            if error is None:
                job.future.set_result(value)
            else:
                job.future.set_exception(error)
        self._begin(loop, 0, TRIES)

    def _commit(self, batch: _Batch) -> list[Outcome]:
        started = time.perf_counter()
        try:
            connection = self._connection
            outcomes = batch.outcomes
            if connection is None or outcomes is None:
                connection = self._transaction(BUSY_TIMEOUT_MS)
                outcomes = self._run_all(connection, batch.jobs)
            command(connection, "COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever broke the commit is everybody's answer
            self._drop()
            return [Outcome(job, None, error) for job in batch.jobs]
        metrics.TRANSACTION_SECONDS.observe(time.perf_counter() - started, "write")
        metrics.BATCH.observe(len(batch.jobs))
        self._checkpoints.written(len(batch.jobs))
        metrics.QUEUE.set(sum(map(len, self._collected.values())))
        return outcomes

    def _run_at_once(self, jobs: list[Job]) -> list[Outcome] | None:
        """What becomes of the jobs before the commit; None where the thread has to see what is wrong.

        Raises _BusyError where nothing was done, since another process writes.
        """
        try:
            return self._run_all(self._transaction(0), jobs)
        except OperationalError as error:
            busy = getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            if busy and self._connection is not None and not _in_transaction(self._connection):
                raise _BusyError from None
            self._drop()
        except Exception:  # noqa: BLE001 - the thread runs them again, and tells
            self._drop()
        return None

    def _transaction(self, patience: int) -> Connection:
        """A connection in a new transaction, for whose lock it waited so many milliseconds at most."""
        if self._connection is None:
            self._connection, self._patience = self._engine.connect(), 0
            self._connection.begin()  # for SQLAlchemy, which would begin anew each time; SQLite is told nothing
        connection = self._connection
        self._file.check()
        if self._patience != patience:
            command(connection, f"PRAGMA busy_timeout={patience}")
            self._patience = patience
        command(connection, "BEGIN IMMEDIATE")
        return connection

    def _run_all(self, connection: Connection, jobs: list[Job]) -> list[Outcome]:
        with suppress(Exception), recording(connection):
            return [Outcome(job, job.verb(connection), None) for job in jobs if not job.future.done()]
        # Only now with savepoints: verbs hardly ever raise, and each savepoint costs as much as a statement or two.
        if _in_transaction(connection):
            command(connection, "ROLLBACK")
        command(connection, "BEGIN IMMEDIATE")
        with recording(connection) as recorded:
            return [self._run_one(connection, recorded, job) for job in jobs if not job.future.done()]

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Not for the pool, which would take its word that a failed COMMIT has ended the transaction.
            connection.invalidate()
            with suppress(SQLAlchemyError):
                connection.close()

    @staticmethod
    def _run_one(connection: Connection, recorded: list[Pending], job: Job) -> Outcome:
        before = len(recorded)
        command(connection, "SAVEPOINT verb")
        try:
            value = job.verb(connection)
        except Exception as error:
            if not _in_transaction(connection):
                raise  # a full disk, for one, made SQLite undo the whole transaction
            del recorded[before:]
            command(connection, "ROLLBACK TO SAVEPOINT verb")
            command(connection, "RELEASE SAVEPOINT verb")
            return Outcome(job, None, error)
        command(connection, "RELEASE SAVEPOINT verb")
        return Outcome(job, value, None)


def _in_transaction(connection: Connection) -> bool:
    """What SQLite says, whatever SQLAlchemy believes."""
    driver: Any = connection.connection.dbapi_connection
    return bool(driver.in_transaction)
