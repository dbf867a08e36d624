"""Servers as processes of their own, and what they use of CPU and memory."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
YARDSTICKS = Path(__file__).parent / "yardsticks"
START_SECONDS = 60
QUIET_SECONDS, QUIET_SHARE = 0.3, 0.05  # who uses so little of a core for so long has started
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "XDG_CACHE_HOME", "UV_CACHE_DIR")


class UnmeasurableError(Exception):
    """A server cannot be started here; the text says why."""


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(**env: str) -> dict[str, str]:
    """What a shell hands over, without settings of ours but those given."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**kept, "FASTMCP_CHECK_FOR_UPDATES": "off", "FASTMCP_SHOW_SERVER_BANNER": "false", **env}


def _cpu_of(process: psutil.Process) -> float:
    if sys.platform == "linux":
        # The clock of another process, in nanoseconds and not in ticks of 10 ms (CPUCLOCK_SCHED of the kernel).
        return time.clock_gettime((~process.pid << 3) | 2)
    used = process.cpu_times()
    return used.user + used.system


@dataclass(frozen=True)
class Server:
    """A running server that listens on a port of 127.0.0.1."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://localhost:{self.port}"

    def _all(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu(self) -> float:
        """CPU seconds that it and its children have used."""
        return sum(_cpu_of(one) for one in self._all())

    def resident(self) -> int:
        """Bytes of memory that it and its children occupy."""
        return sum(int(one.memory_info().rss) for one in self._all())

    async def answers(self, pause: float) -> None:
        """Wait until it answers, asking each `pause` seconds; raises UnmeasurableError when it ends before."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                said = self.log.read_text(encoding="utf-8", errors="replace").strip()
                raise UnmeasurableError(f"{self.name} ended at once: {said[-500:]}")
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(f"GET / HTTP/1.1\r\nHost: localhost:{self.port}\r\n\r\n".encode())
                answered = await reader.read(1)
                writer.close()
                if answered:
                    return
            await asyncio.sleep(pause)
        raise UnmeasurableError(f"{self.name} did not answer within {START_SECONDS} seconds")

    async def settled(self) -> None:
        """Wait until it does next to nothing: more workers may be starting, or what a start leaves for later."""
        used = self.cpu()
        for _ in range(int(START_SECONDS / QUIET_SECONDS)):
            await asyncio.sleep(QUIET_SECONDS)
            before, used = used, self.cpu()
            if used - before < QUIET_SHARE * QUIET_SECONDS:
                return


@asynccontextmanager
async def serve(
    name: str, command: Sequence[str], port: int, folder: Path, env: Mapping[str, str], *, pause: float = 0.02
) -> AsyncIterator[Server]:
    """Run a server until the context ends; what it says goes to a file in `folder`."""
    log = folder / f"{name.replace(' ', '-')}-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - a fork of milliseconds, outside every measurement
            command, cwd=ROOT, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    found = Server(name, port, process, log)
    try:
        await found.answers(pause)
        yield found
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
