"""How long a start takes: stdio to the first list of tools, HTTP to the first 200, and the help text."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.load import WrongAnswerError, parse
from bench.processes import ROOT, YARDSTICKS, environment, free_port, serve
from bench.workloads import TOOLS

BARE = (sys.executable, str(YARDSTICKS / "fastmcp_server.py"), "plain")
SERVER = (sys.executable, "server.py")
_CLIENT = {"name": "bench", "version": "1"}
_MESSAGES = (
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": _CLIENT},
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
)
_LINES = "".join(json.dumps(message) + "\n" for message in _MESSAGES).encode()
WAIT_SECONDS = 30


async def stdio(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Seconds from the start of the process to the answer to tools/list."""
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=dict(env), stdin=pipe, stdout=pipe, stderr=nothing, limit=2**22
    )
    try:
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(_LINES)
        async with asyncio.timeout(WAIT_SECONDS):
            while line := await process.stdout.readline():
                found = json.loads(line)
                if found.get("id") == 2:  # noqa: PLR2004 - of tools/list
                    seconds = time.perf_counter() - started
                    if len(found["result"]["tools"]) != TOOLS:
                        raise WrongAnswerError(f"{command[1]} lists {len(found['result']['tools'])} tools")
                    return seconds
        raise WrongAnswerError(f"{command[1]} ended before it listed its tools")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def http(command: Sequence[str], path: str, port: int, folder: Path, env: Mapping[str, str]) -> float:
    """Seconds from the start of the process to the first 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode()
    started = time.perf_counter()
    async with serve("a start", command, port, folder, env, pause=0.002):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        data = b""
        async with asyncio.timeout(WAIT_SECONDS):
            while (answer := parse(data)) is None:
                data += await reader.read(65_536) or b"HTTP/1.1 000\r\nContent-Length: 0\r\n\r\n"
        seconds = time.perf_counter() - started
        writer.close()
    if answer.status != 200:  # noqa: PLR2004
        raise WrongAnswerError(f"{command[1]} answered {answer.status} to {path}")
    return seconds


async def help_text() -> float:
    """Seconds of `server.py --help`."""
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*SERVER, "--help", cwd=ROOT, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    if b"--transport" not in out:
        raise WrongAnswerError("--help says nothing of --transport")
    return time.perf_counter() - started


async def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """Medians in seconds of starts in turns, and the medians of their ratios. The store exists before."""
    port = free_port()
    store = {"MCP_OAUTH_DATABASE_URL": f"sqlite:///{folder}/starting.db", "MCP_PORT": str(port)}
    ours, bare = environment(**store), environment()
    await http(SERVER, "/healthz", port, folder, ours)
    found: dict[str, list[float]] = {name: [] for name in ("stdio", "stdio, bare", "HTTP", "HTTP, bare", "--help")}
    for _ in range(rounds):
        found["stdio"].append(await stdio((*SERVER, "--transport", "stdio"), ours))
        found["stdio, bare"].append(await stdio((*BARE, "0"), bare))
        found["HTTP"].append(await http(SERVER, "/healthz", port, folder, ours))
        other = free_port()
        found["HTTP, bare"].append(await http((*BARE, str(other)), "/constant", other, folder, bare))
        found["--help"].append(await help_text())
    ratios = {
        f"{name} ratio": statistics.median(a / b for a, b in zip(found[name], found[f"{name}, bare"], strict=True))
        for name in ("stdio", "HTTP")
    }
    return {name: statistics.median(values) for name, values in found.items()} | ratios
