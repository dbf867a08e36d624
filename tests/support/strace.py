"""What a process asks of the kernel, in the order in which it does: writes to one file, its fsyncs, and answers."""

import asyncio
import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

_CALLS = "pwrite64,fdatasync,fsync,read,recvfrom,recvmsg,write,sendto,sendmsg,writev"
_CALL = re.compile(r"^(\d+) +(\w+)\((\d+)<(.*?)>((?:[,)]| <unfinished).*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")


@dataclass(frozen=True)
class Step:
    """One step: what was written to the file, that all written before `began` is on disk, a request or an answer."""

    kind: Literal["write", "synced", "request", "answer"]
    text: str
    began: int  # of a sync: how many steps had been made when it was asked for


@dataclass
class Trace:
    """The steps, in their order, once the tracing has ended."""

    steps: list[Step] = field(default_factory=list)

    def read(self, path: Path, watched: str) -> None:
        """Take in what strace wrote; `watched` is the end of the file's name."""
        begun: dict[str, tuple[str, str, int]] = {}
        for line in path.read_text(errors="replace").splitlines():
            if (call := _CALL.match(line)) is not None:
                thread, name, _, target, rest = call.groups()
                begun[thread] = name, target, len(self.steps)
                self._begin(name, target, rest, watched)
                done = "unfinished ..." not in line
                result = line
            elif (resumed := _RESUMED.match(line)) is not None:
                thread, result, done = resumed[1], resumed[3], True
            else:
                continue
            if done and thread in begun:
                self._end(*begun.pop(thread), result, watched)

    def _begin(self, name: str, target: str, rest: str, watched: str) -> None:
        # Both count from the moment they are asked for: what is written later may not be there yet.
        if name == "pwrite64" and target.endswith(watched):
            self.steps.append(Step("write", rest, 0))
        elif name in ("write", "sendto", "sendmsg", "writev") and target.startswith("TCP"):
            self.steps.append(Step("answer", rest, 0))

    def _end(self, name: str, target: str, began: int, result: str, watched: str) -> None:
        if name in ("fdatasync", "fsync") and target.endswith(watched) and result.endswith("= 0"):
            self.steps.append(Step("synced", "", began))
        elif name in ("read", "recvfrom", "recvmsg") and target.startswith("TCP") and " HTTP/1.1" in result:
            self.steps.append(Step("request", result, 0))

    def first(self, kind: str, text: str) -> int:
        """The position of the first step of a kind that has this text."""
        found = [n for n, step in enumerate(self.steps) if step.kind == kind and text in step.text]
        assert found, f"no {kind} of {text}: {[(step.kind, len(step.text)) for step in self.steps]}"
        return found[0]

    def synced_before(self, position: int) -> int:
        """Up to which step what was written is on disk, when the step at `position` is made."""
        return max((step.began for step in self.steps[:position] if step.kind == "synced"), default=0)


@asynccontextmanager
async def traced(pid: int, folder: Path, watched: str) -> AsyncIterator[Trace]:
    """Trace a process and its threads; the trace is there at the end. Skips where there is no strace, or no ptrace."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    output, trace = folder / "trace", Trace()
    command = (strace, "-f", "-yy", "-s", "70000", "-e", f"trace={_CALLS}", "-o", str(output), "-p", str(pid))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    said = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
    if "attached" not in said:
        pytest.skip(f"strace cannot trace here: {said.strip()}")
    draining = asyncio.create_task(process.stderr.read())
    try:
        yield trace
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 20)
        await draining
    trace.read(output, watched)
