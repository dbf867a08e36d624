"""Threads for password hashing, which must not keep token requests from a processor (RFC 9106 section 4)."""

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

_NICE: Final = 5  # a quarter of a busy processor: still enough to give the interpreter lock back soon
_REST: Final = 1.0
_own = threading.local()
T = TypeVar("T")


@cache
def hashers() -> ThreadPoolExecutor:
    """As many threads as half the processors, one at least, all of lower priority; shared by the whole process."""
    return ThreadPoolExecutor(max(1, _processors() // 2), "hasher", initializer=_yield_to_others)


def paced(run: Callable[..., T], *args: str) -> T:
    """Run in a hasher; it rests between two runs as long as one took, for memory that is shared knows no priority."""
    time.sleep(max(0.0, getattr(_own, "rests_until", 0.0) - time.monotonic()))
    started = time.monotonic()
    try:
        return run(*args)
    finally:
        ended = time.monotonic()
        _own.rests_until = ended + _REST * (ended - started)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _yield_to_others() -> None:
    if sys.platform == "linux":  # elsewhere priorities belong to processes alone
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
