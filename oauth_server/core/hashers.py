"""Processes that hash passwords, which must not keep token requests from a processor (RFC 9106 section 4).

Not threads: one of lower priority that holds the interpreter's lock keeps every other thread waiting for it.
"""

import asyncio
import atexit
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from oauth_server.core.passwords import new_password, normal_form

_PROGRAM: Final = str(Path(__file__).with_name("hasher.py"))
_COMMAND: Final = (sys.executable, "-P", _PROGRAM)  # -P: nothing beside the program is on its path
_INVALID: Final = "(no password)"  # verified in the place of what can be no password
ANSWER_SECONDS: Final = 30.0  # for what takes 30 ms; a process that never answers would keep its thread for good


class Hasher:
    """One process, started when it is first asked, and again when it is gone. For one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        atexit.register(self.close)

    def ask(self, stored: str | None, password: str) -> str | bool:
        """A new hash of the password where `stored` is None, else whether that is its hash.

        Raises OSError where no process can run, or it does not answer.
        """
        question = json.dumps([stored, password]) + "\n"
        for _ in range(2):  # it may have ended since it was asked last
            with suppress(BrokenPipeError):
                answer = self._ask(question)
                if answer:
                    found: str | bool = json.loads(answer)
                    return found
            self.close()
        raise OSError("passwords cannot be hashed: the process that does it ends at once")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            with self._process as ending:  # closes its stdin, by which it ends
                ending.communicate()
            self._process = None

    def _ask(self, question: str) -> str:
        if self._process is None:
            self._process = self._started()
        process = self._process
        assert process.stdin is not None  # noqa: S101 - they are pipes
        assert process.stdout is not None  # noqa: S101
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(ANSWER_SECONDS, end)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(question)
            process.stdin.flush()
            answer = process.stdout.readline()
        finally:
            timer.cancel()
        if late.is_set():
            self.close()
            raise OSError("passwords cannot be hashed: the process that does it does not answer")
        return answer

    @staticmethod
    def _started() -> "subprocess.Popen[str]":
        # A session of its own: Ctrl-C is not for it.
        pipe = subprocess.PIPE
        return subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, text=True, encoding="ascii", start_new_session=True)  # noqa: S603


_own = threading.local()


@cache
def _pool() -> ThreadPoolExecutor:
    """A thread for each process, half as many as there are processors, one at least; shared by all servers here."""
    return ThreadPoolExecutor(max(1, _processors() // 2), "hasher")


def _ask(stored: str | None, password: str) -> str | bool:
    if not hasattr(_own, "hasher"):
        _own.hasher = Hasher()
    hasher: Hasher = _own.hasher
    return hasher.ask(stored, password)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


async def hashed(password: str) -> str:
    """A new Argon2id hash of a password; raises PasswordError for what is not a valid one."""
    return str(await asyncio.get_running_loop().run_in_executor(_pool(), _ask, None, new_password(password)))


async def matches(stored: str, password: str) -> bool:
    """Whether a stored hash is that of a password; False for what is no hash, and for what can be no password.

    One verification in any case, so that all answers take the same time.
    """
    normal = normal_form(password)
    asked = _INVALID if normal is None else normal
    found = await asyncio.get_running_loop().run_in_executor(_pool(), _ask, stored, asked)
    return found is True and normal is not None
