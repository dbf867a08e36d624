"""The program on a terminal of its own, and a person who reads and types there."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.program import ROOT, SERVER

# Makes the terminal on stdin the controlling one, as a login does, so that Ctrl-C and /dev/tty lead to it. Where the
# tests run in the background of a shell, Ctrl-C is ignored by all that they start: a login lets it count again.
ON_A_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
TELLING = {"PYTHONFAULTHANDLER": "1"}  # SIGABRT prints where each thread is


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", end: int) -> None:
        self._process, self._end, self.seen = process, end, ""

    def _read(self) -> bool:
        """Read on; whether there may be more. A program that says nothing for half a minute hangs, and tells where."""
        if not select.select([self._end], [], [], 30)[0]:
            self._process.send_signal(signal.SIGABRT)
            with suppress(OSError):  # as below
                while select.select([self._end], [], [], 2)[0]:
                    self.seen += os.read(self._end, 4096).decode()
            raise AssertionError(f"it waits for something else: {self.seen}")
        try:
            self.seen += os.read(self._end, 4096).decode()
        except OSError:  # the other side is closed
            return False
        return True

    def expect(self, text: str) -> None:
        """Read until the text is seen."""
        while text not in self.seen:
            assert self._read(), self.seen

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self._end, text.encode())

    def status(self) -> int:
        """Read to the end; how the program ended."""
        while self._read():
            pass
        return self._process.wait(30)


@contextmanager
def terminal(env: dict[str, str], *words: str) -> Iterator[Terminal]:
    """Run `server.py WORDS` on a terminal."""
    here, there = os.openpty()
    command = (sys.executable, "-c", ON_A_TERMINAL, *SERVER, *words)
    process = subprocess.Popen(
        command, stdin=there, stdout=there, stderr=there, cwd=ROOT, env=env | TELLING, start_new_session=True
    )
    os.close(there)
    try:
        yield Terminal(process, here)
    finally:
        os.close(here)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
