"""Several worker processes on one listening socket: whoever dies is replaced, and all drain at the end."""

import logging
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from typing import Final

from oauth_server.app.serving import DRAIN_SECONDS, NOTICE_SECONDS, Socket
from oauth_server.app.worker import work
from oauth_server.core.settings import Settings
from oauth_server.store.store import CLOSE_SECONDS

AGAIN_SECONDS: Final = 3.0  # from one start of a worker to the next: one that cannot start does not spin
END_SECONDS: Final = NOTICE_SECONDS + DRAIN_SECONDS + CLOSE_SECONDS + 2.0  # what still runs then is killed
_TICK: Final = 0.2
_spawn = get_context("spawn")  # a fork would copy threads and database connections
logger = logging.getLogger(__name__)


@dataclass
class _Worker:
    process: SpawnProcess
    started: float
    mourned: bool = False


class Supervisor:
    """Keeps as many workers running as the settings say, until SIGTERM or SIGINT. For the main thread."""

    def __init__(self, settings: Settings, bound: Socket) -> None:
        self._settings = settings
        self._bound = bound
        self._ending = False

    def run(self) -> int:
        """Run; the exit status: 0 when every worker drained, 1 when one had to be killed."""
        with ExitStack() as restored:
            for number in (signal.SIGINT, signal.SIGTERM):
                restored.callback(signal.signal, number, signal.signal(number, self._end))
            workers = [self._start() for _ in range(self._settings.workers)]
            while not self._ending:
                # A signal does not wake the wait, hence the tick.
                connection.wait([each.process.sentinel for each in workers if not each.mourned], _TICK)
                workers = [self._kept(each) for each in workers]
            self._bound.close()  # or whoever connects after the last worker closed its own would wait here
            return _drained(workers)

    def _end(self, _number: int, _frame: object) -> None:
        self._ending = True

    def _start(self) -> _Worker:
        process = _spawn.Process(target=work, args=(self._settings, self._bound), daemon=True)
        # Ctrl-C reaches all processes of a terminal; one that still imports would answer it with a traceback.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        return _Worker(process, time.monotonic())

    def _kept(self, worker: _Worker) -> _Worker:
        """The worker, or the one in its place once it is gone and its time has come."""
        if worker.process.is_alive():
            return worker
        if not worker.mourned and not self._ending:
            logger.warning(
                "worker %s ended (%s); another one takes its place", worker.process.pid, _how(worker.process)
            )
            worker.mourned = True
        if self._ending or time.monotonic() < worker.started + AGAIN_SECONDS:
            return worker
        worker.process.close()
        return self._start()


def _drained(workers: list[_Worker]) -> int:
    """Let all of them finish what they answer; the exit status."""
    running = [each.process for each in workers if each.process.is_alive()]
    for process in running:
        process.terminate()
    end = time.monotonic() + END_SECONDS
    for process in running:
        process.join(max(0.0, end - time.monotonic()))
    late = [process for process in running if process.is_alive()]
    for process in late:
        logger.warning("worker %s did not end within %.0f s and is killed", process.pid, END_SECONDS)
        process.kill()
        process.join()
    return 1 if late else 0


def _how(process: SpawnProcess) -> str:
    status = process.exitcode or 0
    return f"signal {-status}" if status < 0 else f"status {status}"
