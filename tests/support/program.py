"""The program as its user starts it: a process of its own, with its own folder, port and environment."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
SERVER = (sys.executable, "server.py")
FASTMCP = (str(Path(sys.executable).with_name("fastmcp")), "run", "server.py")
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "XDG_CACHE_HOME", "UV_CACHE_DIR")


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(folder: Path, **env: str) -> dict[str, str]:
    """What an operator's shell would hand over: nothing of ours but what is given, and data in `folder`."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    data = {"XDG_DATA_HOME": str(folder), "MCP_OAUTH_DATABASE_URL": f"sqlite:///{folder}/oauth.db"}
    return {**kept, **data, "PYTHONWARNINGS": "error", "FASTMCP_CHECK_FOR_UPDATES": "off", **env}


@dataclass
class Ended:
    """How a process ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines on stderr."""
        return self.err.splitlines()


@dataclass
class Program:
    """A running process whose stderr is read all along."""

    process: asyncio.subprocess.Process
    err: str = ""
    _seen: asyncio.Event = field(default_factory=asyncio.Event)
    _reader: "asyncio.Task[None] | None" = None

    async def read_on(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.err += line.decode(errors="replace")
            self._seen.set()
        self._seen.set()

    async def said(self, pattern: str, timeout: float = 60) -> re.Match[str]:  # noqa: ASYNC109
        """Wait until stderr holds a match."""
        end = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.err, re.MULTILINE)
            if match is not None:
                return match
            assert self.process.returncode is None, self.err
            assert time.monotonic() < end, f"{pattern!r} was not said: {self.err}"
            self._seen.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._seen.wait(), 0.2)

    async def ready(self, url: str) -> None:
        """Wait until the server answers."""
        async with httpx2.AsyncClient() as http:
            for _ in range(600):
                with suppress(httpx2.TransportError):
                    if (await http.get(f"{url}/readyz")).status_code == 200:
                        return
                assert self.process.returncode is None, self.err
                await asyncio.sleep(0.1)
        raise AssertionError(f"{url} does not answer: {self.err}")

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send one JSON-RPC message on stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        await self.process.stdin.drain()

    async def answer(self) -> dict[str, Any]:
        """The next line of stdout, which must be JSON-RPC."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        found: dict[str, Any] = json.loads(line or self.err)
        assert found["jsonrpc"] == "2.0"
        return found

    async def end(self, signal_number: int | None = signal.SIGTERM) -> Ended:
        """Signal the process (None: close its stdin) and wait for its end."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
        if self.process.stdin is not None:
            self.process.stdin.close()
        assert self.process.stdout is not None
        out = await asyncio.wait_for(self.process.stdout.read(), 30)
        status = await asyncio.wait_for(self.process.wait(), 30)
        if self._reader is not None:
            await self._reader
        return Ended(status, out.decode(), self.err)


@asynccontextmanager
async def program(*command: str, env: Mapping[str, str], cwd: Path = ROOT) -> AsyncIterator[Program]:
    """Start a program; it is killed when it still runs at the end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=dict(env), stdin=pipe, stdout=pipe, stderr=pipe, limit=2**22, start_new_session=True
    )
    found = Program(process)
    found._reader = asyncio.create_task(found.read_on())
    try:
        yield found
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await found._reader


async def run(*command: str, env: Mapping[str, str], cwd: Path = ROOT, timeout: float = 60) -> Ended:  # noqa: ASYNC109
    """Run a program that ends by itself, its stdin closed."""
    async with program(*command, env=env, cwd=cwd) as found:
        return await asyncio.wait_for(found.end(None), timeout)


def initialize() -> dict[str, Any]:
    """The first message of an MCP client."""
    client = {"name": "test", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


async def call_tool(stdio: Program, name: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool over stdio, after `initialize`; its structured content."""
    await stdio.send(
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    )
    found = await stdio.answer()
    content: dict[str, Any] = found["result"]["structuredContent"]
    return content


async def greet(stdio: Program) -> dict[str, Any]:
    """Do what every MCP client does first; the server's answer."""
    await stdio.send(initialize())
    found = await stdio.answer()
    await stdio.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    result: dict[str, Any] = found["result"]
    return result
