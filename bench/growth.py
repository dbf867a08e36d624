"""What a full store costs against an empty one: CPU and latency of refresh, introspection and an authorized call.

    uv run --group bench bench/growth.py --engine sqlite|postgresql [--clients N --refresh-tokens N --revocations N]
        [--rounds N]

Two servers, one with a store that holds little more than those who ask, one with a store filled to the size that is
asked for, are loaded in turns through 16 connections; every answer is checked. Those who ask are spread over the
store. Prints the medians of the rounds, and of the ratios within each round. Exit status 1 where one is above its
target.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from bench.filling import Actor, Size, actor, fill
from tests.endurance.flood_traffic import Wire
from tests.support.databases import first_start
from tests.support.postgres import postgres_server
from tests.support.program import ROOT, SERVER, environment, free_port, program

CONNECTIONS: Final = 16
ACTORS: Final = 2_000
REQUESTS: Final = 1_000  # in a round, of each kind
OK: Final = 200
TOOLS: Final = 6
CPU_TARGET: Final = 1.2  # times that of the empty store
P99_TARGET: Final = 1.5
FULL: Final = Size(clients=1_000_000, refresh_tokens=5_000_000, revocations=1_000_000)
EMPTY: Final = Size(clients=ACTORS, refresh_tokens=5 * ACTORS, revocations=0)
Work = Callable[["Holder", Wire], Awaitable[None]]


class WrongAnswerError(Exception):
    """A server did not answer as it must: the run says nothing."""


def expect(right: bool, answer: bytes) -> None:
    """Raise WrongAnswerError with the answer unless it is right."""
    if not right:
        raise WrongAnswerError(answer)


def say(told: str) -> None:
    """Print at once."""
    print(told, file=sys.stderr, flush=True)


@dataclass
class Holder:
    """A client with its newest tokens."""

    actor: Actor
    refresh_token: str
    access_token: str = ""

    @property
    def basic(self) -> str:
        """What it authenticates with (RFC 6749 section 2.3.1)."""
        pair = f"{quote(self.actor.client_id, safe='')}:{quote(self.actor.secret, safe='')}"
        return "Basic " + base64.b64encode(pair.encode()).decode()


async def refresh(holder: Holder, wire: Wire) -> None:
    """Rotate the refresh token."""
    form = {"grant_type": "refresh_token", "refresh_token": holder.refresh_token}
    status, _, body = await wire.ask("POST", "/oauth/token", urlencode(form).encode(), Authorization=holder.basic)
    expect(status == OK, body)
    found = json.loads(body)
    expect(found["refresh_token"] != holder.refresh_token and found["access_token"] != holder.access_token, body)
    holder.refresh_token, holder.access_token = found["refresh_token"], found["access_token"]


async def introspect(holder: Holder, wire: Wire) -> None:
    """Ask what the access token is."""
    its = {"active": True, "client_id": holder.actor.client_id}
    form = urlencode({"token": holder.access_token}).encode()
    status, _, body = await wire.ask("POST", "/oauth/introspect", form, Authorization=holder.basic)
    expect(status == OK and json.loads(body).items() >= its.items(), body)


async def list_tools(holder: Holder, wire: Wire) -> None:
    """Call /mcp with the access token."""
    message = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    sent = {"Accept": "application/json, text/event-stream", "MCP_Protocol_Version": "2025-11-25"}
    sent["Authorization"] = f"Bearer {holder.access_token}"
    status, _, body = await wire.ask("POST", "/mcp", message, "application/json", **sent)
    expect(status == OK and body.count(b'"mcp_oauth_') == TOOLS, body)


WORKS: Final[dict[str, Work]] = {"refresh": refresh, "introspection": introspect, "tools/list": list_tools}


@dataclass
class Side:
    """A server on one of the stores, and those who ask it."""

    name: str
    process: psutil.Process
    holders: list[Holder]
    wires: list[Wire]
    ready_seconds: float
    cpu: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in WORKS})
    p99: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in WORKS})

    def cpu_seconds(self) -> float:
        """What the process used so far."""
        used = self.process.cpu_times()
        return float(used.user + used.system)

    async def round(self, name: str, asking: list[Holder]) -> None:
        """Each of them asks once; notes the milliseconds of CPU for one, and the 99th percentile of the times."""
        took: list[float] = []
        waiting = iter(asking)

        async def connection(wire: Wire) -> None:
            for holder in waiting:
                started = time.perf_counter()
                await WORKS[name](holder, wire)
                took.append((time.perf_counter() - started) * 1000)

        before = self.cpu_seconds()
        await asyncio.gather(*(connection(wire) for wire in self.wires))
        self.cpu[name].append((self.cpu_seconds() - before) * 1000 / len(asking))
        self.p99[name].append(sorted(took)[int(len(took) * 0.99)])


@contextlib.asynccontextmanager
async def served(name: str, url: str, size: Size, folder: Path) -> AsyncIterator[Side]:
    """Fill a store and serve it."""
    port = free_port()
    await first_start(url)
    say(f"{name}: filled in {fill(url, size, f'http://localhost:{port}'):.0f} s")
    env = environment(folder, MCP_OAUTH_DATABASE_URL=url, MCP_LOG_LEVEL="warning")
    started = time.perf_counter()
    async with program(*SERVER, "--port", str(port), env=env) as server:
        await server.ready(f"http://localhost:{port}")
        ready = time.perf_counter() - started
        chosen = [actor(size, n * size.grants // ACTORS) for n in range(min(ACTORS, size.grants))]
        holders = [Holder(one, one.refresh_token) for one in chosen]
        wires = [Wire(port) for _ in range(CONNECTIONS)]
        yield Side(name, psutil.Process(server.process.pid), holders, wires, ready)
        for wire in wires:
            wire.close()


async def measure(
    engine: str, clients: int, refresh_tokens: int, revocations: int, rounds: int = 7
) -> list[dict[str, Any]]:
    """A row for each kind of work: CPU (ms of the server's process) and p99 (ms) with each store, and their ratios.

    The ratios are medians of those within a round. Each row tells also the size, the resident memory with each store
    and how much of that the revocation filter needs (MiB), and how long each took to be ready (s).
    """
    size = Size(clients, refresh_tokens, revocations)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp", prefix="growth-")))
        urls = {name: f"sqlite:///{folder}/{name}.db" for name in ("empty", "full")}
        if engine == "postgresql":
            server = stack.enter_context(postgres_server(durable=True))
            urls = {name: stack.enter_context(server.database()) for name in urls}
        async with (
            served("empty", urls["empty"], EMPTY, folder) as empty,
            served("full", urls["full"], size, folder) as full,
        ):
            await _warm(empty, full)
            for number in range(rounds):
                for name in WORKS:
                    for side in (empty, full) if number % 2 else (full, empty):
                        await side.round(name, random.sample(side.holders, min(REQUESTS, len(side.holders))))
            return _told(engine, size, empty, full)


async def _warm(*sides: Side) -> None:
    """Everybody gets an access token; then nothing of the start is left to be done."""
    for side in sides:
        for name in ("refresh", "tools/list"):
            await side.round(name, side.holders)
            side.cpu[name].clear()
            side.p99[name].clear()
    await asyncio.sleep(3)


def _told(engine: str, size: Size, empty: Side, full: Side) -> list[dict[str, Any]]:
    memory = {f"{side.name}_rss_mib": side.process.memory_info().rss / 2**20 for side in (empty, full)}
    memory["filter_mib"] = filter_bytes(size.revocations) / 2**20
    ready = {f"{side.name}_ready_s": side.ready_seconds for side in (empty, full)}
    store = {"engine": engine, **{name: getattr(size, name) for name in Size.__dataclass_fields__}}
    rows = []
    for name in WORKS:
        row: dict[str, Any] = {**store, "work": name}
        for what in ("cpu", "p99"):
            less, more = getattr(empty, what)[name], getattr(full, what)[name]
            row |= {f"empty_{what}_ms": statistics.median(less), f"full_{what}_ms": statistics.median(more)}
            row[f"{what}_ratio"] = statistics.median(b / a for a, b in zip(less, more, strict=True))
        rows.append(row | memory | ready)
    return rows


_FILTER = """
import os, sys
from oauth_server.core.expiring_set import ExpiringSet

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

held, before = ExpiringSet(), resident()
for number in range(int(sys.argv[1])):
    held.add(("token", str(number)), 1000)
print(resident() - before)
"""


def filter_bytes(revocations: int) -> int:
    """What a revocation filter with so many entries adds to the resident memory of a process."""
    command = (sys.executable, "-c", _FILTER, str(revocations))
    told = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # noqa: S603 - this very Python
    return int(told.stdout)


def table(rows: list[dict[str, Any]]) -> str:
    """For people."""
    first = rows[0]
    counts = ", ".join(f"{first[name]:,} {name.replace('_', ' ')}" for name in Size.__dataclass_fields__)
    lines = [
        f"{first['engine']}: {counts}",
        "",
        "| Work | CPU ms, empty | full | ratio | p99 ms, empty | full | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shown = (f"{row[f'empty_{w}_ms']:.3f} | {row[f'full_{w}_ms']:.3f} | {row[f'{w}_ratio']:.2f}" for w in _WHATS)
        lines.append(f"| {row['work']} | {' | '.join(shown)} |")
    memory = f"Resident memory {first['empty_rss_mib']:.1f} and {first['full_rss_mib']:.1f} MiB"
    ready = f"ready after {first['empty_ready_s']:.1f} and {first['full_ready_s']:.1f} s"
    return "\n".join((*lines, "", f"{memory}, of which the filter needs {first['filter_mib']:.1f}; {ready}."))


_WHATS: Final = ("cpu", "p99")


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    for name in Size.__dataclass_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(FULL, name))
    parser.add_argument("--rounds", type=int, default=7)
    wanted = parser.parse_args()
    rows = asyncio.run(measure(**vars(wanted)))
    print(table(rows))
    return int(any(row["cpu_ratio"] > CPU_TARGET or row["p99_ratio"] > P99_TARGET for row in rows))


if __name__ == "__main__":
    sys.exit(main())
