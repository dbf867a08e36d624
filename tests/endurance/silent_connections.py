"""Many connections that never send a request: what they cost the server, and what becomes of those who do send one.

`uv run --group test python -m tests.endurance.silent_connections [--connections 10000] [--files 0]` starts a server as a process, with
at most so many open files where that is given, and tells its memory and the time of requests before, with so many silent
connections, and once the server has ended them. Exit status 1 when a request failed, or they were not ended.
"""

import argparse
import asyncio
import http.client
import os
import resource
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.endurance.flood import percentile, say
from tests.support.program import SERVER, environment, free_port, program

PROBES = 500
AFTER = 45  # seconds in which the server has ended every one of them: it is patient for 30


def memory(pid: int) -> int:
    """Resident memory in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names are not needed


def probe(port: int) -> list[float]:
    """How long requests took on a kept connection, in milliseconds."""
    kept, took = http.client.HTTPConnection("127.0.0.1", port, timeout=30), []
    for _ in range(PROBES):
        started = time.perf_counter()
        kept.request("GET", "/.well-known/oauth-authorization-server", headers={"Host": f"localhost:{port}"})
        reply = kept.getresponse()
        assert (reply.status, bool(reply.read())) == (200, True)
        took.append((time.perf_counter() - started) * 1000)
    kept.close()
    return sorted(took)


async def tell(name: str, port: int, pid: int) -> None:
    """Say what requests take now, and what the server holds."""
    # In a thread: asyncio itself gets slow where it holds so many connections.
    took = await asyncio.to_thread(probe, port)
    times = f"p50 {percentile(took, 0.5):.2f}, p99 {percentile(took, 0.99):.2f} ms"
    say(f"{name}: {memory(pid) / 1024:.1f} MiB, {files(pid)} files, {times}; load {os.getloadavg()[0]:.1f}")


async def measure(number: int, limit: int, folder: Path) -> None:
    """Run and tell."""
    port = free_port()
    command = SERVER if not limit else ("sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh", *SERVER)
    async with program(*command, "--port", str(port), env=environment(folder)) as server:
        await server.ready(f"http://localhost:{port}")
        pid = server.process.pid
        before = memory(pid)
        await tell("quiet", port, pid)
        started = time.perf_counter()
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(number)]
        each = (memory(pid) - before) / number
        say(f"{number} connections in {time.perf_counter() - started:.1f} s; {each:.1f} KiB each")
        await tell("with them", port, pid)
        with suppress(ConnectionError):
            await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _ in silent)), AFTER)
        say(f"all ended after {time.perf_counter() - started:.0f} s")
        await tell("after them", port, pid)
        for _, writer in silent:
            writer.close()


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=0)
    wanted = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(wanted.connections, wanted.files, Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
