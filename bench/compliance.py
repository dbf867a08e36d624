"""What an audit costs: seconds and memory of `server.py check` as a process.

`uv run --group bench bench/compliance.py [--runs N]` judges this server and hostile ones, all on loopback.
Memory is the peak of the process (VmHWM, so on Linux alone) above that of the same command whose target refuses the
connection at once.
"""

import argparse
import asyncio
import contextlib
import gzip
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PASSWORD = "correct horse battery staple"
CHUNK = b'{"resource": "' + b"x" * 65_536
BOMB = gzip.compress(b"{" + b" " * (64 << 20))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def endless(writer: asyncio.StreamWriter) -> None:
    """Send a body that has no end."""
    writer.write(HEAD + b"Connection: close\r\n\r\n")
    while True:
        writer.write(CHUNK)
        await writer.drain()


async def bomb(writer: asyncio.StreamWriter) -> None:
    """Send 64 MiB in a few kilobytes."""
    writer.write(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)
    await writer.drain()


async def nested(writer: asyncio.StreamWriter) -> None:
    """Send JSON as deep as it fits."""
    body = b'{"a":' * 40_000
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()


async def headers(writer: asyncio.StreamWriter) -> None:
    """Send headers without end."""
    writer.write(b"HTTP/1.1 401 Unauthorized\r\n")
    for number in range(100_000):
        writer.write(b"X-%d: %s\r\n" % (number, b"y" * 1000))
        await writer.drain()


@contextlib.asynccontextmanager
async def hostile(answer: Answer) -> AsyncIterator[str]:
    """Serve every connection with the same answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"


async def measured(*arguments: str) -> tuple[float, float]:
    """Run the command; seconds and peak MiB of the process."""
    command = (sys.executable, "-c", _RUN, *arguments)
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "MCP_PASSWORD": PASSWORD}
    )
    _, said = await process.communicate()
    seconds = time.perf_counter() - started
    return seconds, int(said.decode().strip().rpartition("\n")[2]) / 1024


# Not ru_maxrss, which a process inherits from the one that started it.
_RUN = """
import atexit, re, runpy, sys
peak = lambda: re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1)
atexit.register(lambda: print(peak(), file=sys.stderr))
sys.argv = ["server.py", "check", *sys.argv[1:]]
runpy.run_path("server.py", run_name="__main__")
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def this_server() -> AsyncIterator[str]:
    """Start this server on an empty database."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        env = {
            **os.environ,
            "MCP_PORT": str(port),
            "MCP_OAUTH_DATABASE_URL": f"sqlite:///{folder}/oauth.db",
            "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "server.py", cwd=ROOT, env=env, stderr=subprocess.DEVNULL
        )
        try:
            for _ in range(300):
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.1)
            yield f"http://localhost:{port}/mcp"
        finally:
            process.terminate()
            await process.wait()


def row(name: str, found: Sequence[tuple[float, float]], base: float) -> str:
    """One line of the table: the median of the seconds, the largest of the peaks."""
    seconds, most = statistics.median(pair[0] for pair in found), max(pair[1] for pair in found)
    return f"{name:32} {seconds:8.2f} s {most - base:8.1f} MiB above {base:.0f}"


async def main(runs: int) -> None:
    """Print the table."""
    base = max([(await measured(f"http://127.0.0.1:{free_port()}/mcp"))[1] for _ in range(runs)])
    async with this_server() as url:
        for depth in ("passive", "active", "adversarial"):
            who = () if depth == "passive" else ("--user", "admin")
            found = [await measured(url, "--depth", depth, *who) for _ in range(runs)]
            print(row(f"this server, {depth}", found, base), flush=True)
    for answer in (endless, bomb, nested, headers):
        async with hostile(answer) as url:
            found = [await measured(url, "--depth", "adversarial", "--user", "admin")]
            print(row(f"hostile: {answer.__name__}", found, base), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    asyncio.run(main(parser.parse_args().runs))
