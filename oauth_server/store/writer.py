"""The one writer thread of a process on SQLite: it runs what waits in one transaction, and answers after the commit."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from oauth_server import metrics
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.statements import command
from oauth_server.store.verbs.audit import Pending, recording

MAX_BATCH = 256


class Job(NamedTuple):
    """One verb waiting to be run, and where its answer goes."""

    verb: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Outcome(NamedTuple):
    """What became of a job: exactly one of the two is meaningful."""

    job: Job
    value: Any
    error: BaseException | None


def _settle(outcomes: list[Outcome]) -> None:
    for job, value, error in outcomes:
        if job.future.done():  # the caller was cancelled; the commit stands
            continue
        if error is None:
            job.future.set_result(value)
        else:
            job.future.set_exception(error)


class Writer:
    """Serialises all writes of this process; each verb has a savepoint, each batch one durable commit.

    A verb that raises is rolled back alone. No answer leaves before the commit that holds it is on disk. A verb whose
    caller gave up before it began is not run: what was refused as unavailable must not happen later.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._collected: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        self._jobs: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, verb: Callable[[Connection], Any]) -> asyncio.Future[Any]:
        """Queue a verb; the future carries its return value or what it raised. After the end: StoreUnavailableError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._closing:
            if self._closed:
                raise StoreUnavailableError("the store is closed")
            collected = self._collected.get(loop)
            if collected is None:
                # What this turn of the loop asks for goes together: one commit, and the thread is woken once.
                collected = self._collected[loop] = []
                loop.call_soon(self._hand_over, loop)
            collected.append(Job(verb, loop, future))
        return future

    @property
    def alive(self) -> bool:
        """Whether the thread runs, as it does until the end."""
        return self._closed or self._thread.is_alive()

    def close(self) -> None:
        """Run what waits, then end the thread."""
        with self._closing:
            self._closed = True
            for loop in list(self._collected):
                self._put(loop)
            self._jobs.put(None)
        self._thread.join()

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._closing:
            self._put(loop)

    def _put(self, loop: asyncio.AbstractEventLoop) -> None:
        collected = self._collected.pop(loop, None)
        if collected:
            self._jobs.put(collected)

    def _run(self) -> None:
        running = True
        while running:
            waiting = self._jobs.get()
            batch: list[Job] = []
            while waiting is not None:
                batch += waiting
                if len(batch) >= MAX_BATCH:
                    break
                try:
                    waiting = self._jobs.get_nowait()
                except queue.Empty:
                    break
            running = waiting is not None
            self._answer(self._commit([job for job in batch if not job.future.cancelled()]))
        self._drop()

    def _commit(self, batch: list[Job]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if not batch:
            return outcomes
        started = time.perf_counter()
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            connection = self._connection
            with connection.begin(), recording(connection) as recorded:
                outcomes.extend(self._run_one(connection, recorded, job) for job in batch)
        except Exception as error:  # noqa: BLE001 - whatever broke the commit is everybody's answer
            self._drop()
            return [Outcome(job, None, error) for job in batch]
        metrics.TRANSACTION_SECONDS.observe(time.perf_counter() - started, "write")
        metrics.BATCH.observe(len(batch))
        metrics.QUEUE.set(self._jobs.qsize())
        return outcomes

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()

    @staticmethod
    def _run_one(connection: Connection, recorded: list[Pending], job: Job) -> Outcome:
        before = len(recorded)
        command(connection, "SAVEPOINT verb")
        try:
            value = job.verb(connection)
        except Exception as error:
            if not connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
                raise  # a full disk, for one, made SQLite undo the whole transaction
            del recorded[before:]
            command(connection, "ROLLBACK TO SAVEPOINT verb")
            command(connection, "RELEASE SAVEPOINT verb")
            return Outcome(job, None, error)
        command(connection, "RELEASE SAVEPOINT verb")
        return Outcome(job, value, None)

    @staticmethod
    def _answer(outcomes: list[Outcome]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
        for outcome in outcomes:
            by_loop.setdefault(outcome.job.loop, []).append(outcome)
        for loop, settled in by_loop.items():
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                loop.call_soon_threadsafe(_settle, settled)
