"""The one writer thread of a process on SQLite: it runs what waits in one transaction, and answers after the commit."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from oauth_server import metrics
from oauth_server.store.errors import StoreUnavailableError
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
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
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
            self._jobs.put(Job(verb, loop, future))
        return future

    @property
    def alive(self) -> bool:
        """Whether the thread runs, as it does until the end."""
        return self._closed or self._thread.is_alive()

    def close(self) -> None:
        """Run what waits, then end the thread."""
        with self._closing:
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            first = self._jobs.get()
            if first is None:
                return
            batch = [first]
            while len(batch) < MAX_BATCH:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    running = False
                    break
                batch.append(job)
            self._answer(self._commit([job for job in batch if not job.future.cancelled()]))

    def _commit(self, batch: list[Job]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if not batch:
            return outcomes
        started = time.perf_counter()
        try:
            with self._engine.begin() as connection, recording(connection) as recorded:
                outcomes.extend(self._run_one(connection, recorded, job) for job in batch)
        except Exception as error:  # noqa: BLE001 - whatever broke the commit is everybody's answer
            return [Outcome(job, None, error) for job in batch]
        metrics.TRANSACTION_SECONDS.observe(time.perf_counter() - started, "write")
        metrics.BATCH.observe(len(batch))
        metrics.QUEUE.set(self._jobs.qsize())
        return outcomes

    @staticmethod
    def _run_one(connection: Connection, recorded: list[Pending], job: Job) -> Outcome:
        before = len(recorded)
        connection.exec_driver_sql("SAVEPOINT verb")
        try:
            value = job.verb(connection)
        except Exception as error:
            if not connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
                raise  # a full disk, for one, made SQLite undo the whole transaction
            del recorded[before:]
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT verb")
            connection.exec_driver_sql("RELEASE SAVEPOINT verb")
            return Outcome(job, None, error)
        connection.exec_driver_sql("RELEASE SAVEPOINT verb")
        return Outcome(job, value, None)

    @staticmethod
    def _answer(outcomes: list[Outcome]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
        for outcome in outcomes:
            by_loop.setdefault(outcome.job.loop, []).append(outcome)
        for loop, settled in by_loop.items():
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                loop.call_soon_threadsafe(_settle, settled)
