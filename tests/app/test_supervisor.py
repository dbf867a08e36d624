"""The end of workers: who drains in time, and who has to be killed."""

import signal
import time
from multiprocessing import get_context

import pytest

from oauth_server.app import supervisor
from tests.support import stubborn

_spawn = get_context("spawn")


def started(on_sigterm: int) -> supervisor._Worker:
    ready = _spawn.Event()
    process = _spawn.Process(target=stubborn.wait, args=(ready, on_sigterm), daemon=True)
    process.start()
    assert ready.wait(20)
    return supervisor._Worker(process, 0.0)


def test_a_worker_that_does_not_end_is_killed_and_that_is_no_success(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "END_SECONDS", 1.0)
    good, bad = started(int(signal.SIG_DFL)), started(int(signal.SIG_IGN))
    began = time.monotonic()
    assert supervisor._drained([good, bad]) == 1
    assert time.monotonic() - began < 5  # for all of them together
    assert (good.process.exitcode, bad.process.exitcode) == (-signal.SIGTERM, -signal.SIGKILL)
    assert [record.getMessage() for record in caplog.records] == [
        f"worker {bad.process.pid} did not end within 1 s and is killed"
    ]


def test_workers_that_end_are_a_success(caplog: pytest.LogCaptureFixture) -> None:
    assert supervisor._drained([started(int(signal.SIG_DFL)) for _ in range(2)]) == 0
    assert not caplog.records
