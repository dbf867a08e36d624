"""What this server costs beside others: CPU, requests a second, latency, start and memory, in one run.

`uv run --group bench bench/run.py` starts this server and the yardsticks as processes, drives them in turns,
checks every answer, and prints tables with the targets. One wrong answer spoils the run: exit status 1.
"""

import argparse
import asyncio
import json
import shlex
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvloop

from bench import floor, full, hostile, micro, others, ours, profiling, rendering, starting, store
from bench.load import WrongAnswerError
from bench.machine import machine, versions
from bench.measuring import CONNECTIONS, measure
from bench.peers import Fleet, fleet
from bench.processes import UnmeasurableError
from bench.report import show_figures, show_row, show_targets
from bench.rows import ENDPOINTS, GATE, judged

STARTING = {**ours.STARTING, **others.STARTING}
LONG = ("concurrency", "workers", "growth")  # sections that --full alone measures
SECTIONS = ("micro", "hostile", "floor", "start", "commits", "memory", *LONG)
ROWS = (*ENDPOINTS, *GATE)
BURSTS = 50_000  # refreshes that the clients of one connection each may ask for at once


def say(text: str = "") -> None:
    """Print at once."""
    print(text, flush=True)


class Run:
    """One run: what is wanted, and what was found."""

    def __init__(self, wanted: argparse.Namespace, folder: Path) -> None:
        self.wanted, self.folder = wanted, folder
        self.found: dict[str, Any] = {
            "command": f"uv run --group bench bench/run.py {shlex.join(_asked())}".strip(),
            "connections": CONNECTIONS,
            "machine": machine(folder),
            "versions": versions(),
            "rows": [],
        }

    def fleet(self, slots: int = CONNECTIONS) -> Any:
        """Servers of their own for a part of the run."""
        return fleet(self.folder, slots, STARTING)

    def wants(self, name: str) -> bool:
        """Whether a row or section of this name is to be measured."""
        if self.wanted.only:
            return any(word in name for word in self.wanted.only)
        return self.wanted.full or name not in LONG

    def keep(self) -> None:
        """Judge what was found so far, and write it to the file that was asked for: a long run may be cut short.

        What was written before a wrong answer spoils the rest had right answers alone.
        """
        self.found["targets"] = judged(self.found)
        if self.wanted.json:
            self.wanted.json.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")

    async def rows(self) -> None:
        """The work that is asked of several servers in turns."""
        chosen = [row for row in ROWS if self.wants(row.name)]
        async with self.fleet() as servers:
            await _started(servers, {name.partition(":")[0] for row in chosen for name in row.columns.values()})
            for row in chosen:
                rounds = self.wanted.pairs if row in GATE else self.wanted.rounds
                self.found["rows"].append(await measure(servers, row, rounds, self.wanted.share))
                self.keep()
                say(show_row(self.found["rows"][-1]))

    async def section(self, name: str) -> Any:
        """The figures of one section."""
        wanted = self.wanted
        alone: dict[str, Callable[[], Awaitable[Any]]] = {
            "micro": lambda: micro.measure(wanted.pairs),
            "hostile": lambda: hostile.measure(wanted.pairs),
            "floor": lambda: floor.measure(wanted.pairs, self.folder),
            "start": lambda: starting.measure(self.folder, wanted.starts),
            "workers": lambda: full.workers(self.fleet, wanted.rounds, say),
            "growth": lambda: full.growth(say),
        }
        if name in alone:
            return await alone[name]()
        many = name == "concurrency" or wanted.refreshes > BURSTS
        async with self.fleet(max(full.SWEEP) if many else CONNECTIONS) as servers:
            if name == "commits":
                return await store.commits(servers, max(CONNECTIONS, int(2000 * wanted.share)))
            if name == "memory":
                return await store.memory(servers, wanted.refreshes)
            return await full.sweep(servers, wanted.rounds, say)

    async def all(self) -> dict[str, Any]:
        """Measure what is wanted; the result as JSON."""
        await self.rows()
        for name in SECTIONS:
            if self.wants(name):
                say(f"\n{name}")
                self.found[name] = await self.section(name)
                self.keep()
                say(show_figures(self.found[name]))
        self.keep()
        say(show_targets(self.found["targets"]))
        return self.found


def _asked() -> list[str]:
    """The arguments without the file that the figures went to."""
    found = list(sys.argv[1:])
    if "--json" in found:
        at = found.index("--json")
        del found[at : at + 2]
    return found


async def _started(servers: Fleet, names: set[str]) -> None:
    """Start all at once; which of them cannot be is told where its figures would stand."""
    ends = await asyncio.gather(*(servers.peer(name) for name in names), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, UnmeasurableError):
            raise end


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: less than two minutes in all")
    parser.add_argument("--full", action="store_true", help=f"{', '.join(LONG)}, and memory after a million refreshes")
    named = ", ".join((*(row.name for row in ROWS), *SECTIONS))
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"what has one of these words in its name: {named}")
    parser.add_argument("--rounds", type=int, help="rounds of each endpoint")
    parser.add_argument("--pairs", type=int, help="rounds of each call of /mcp")
    parser.add_argument("--share", type=float, help="share of the usual number of requests in a round")
    parser.add_argument("--refreshes", type=int, help="refreshes after which memory is looked at")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md and its plots")
    parser.add_argument("--profile", metavar="NAME", help="profile this server at one kind of work, instead")
    wanted = parser.parse_args()
    unknown = [word for word in wanted.only or () if word not in named]
    if unknown:
        parser.error(f"nothing that is measured has {unknown[0]!r} in its name; there are: {named}")
    few = wanted.quick
    wanted.rounds = wanted.rounds or (2 if few else 5)
    wanted.pairs = wanted.pairs or (3 if few else 15)
    wanted.share = wanted.share or (0.4 if few else 1.0)
    wanted.starts = 3 if few else 9
    wanted.refreshes = wanted.refreshes or (1_000_000 if wanted.full else 2_000 if few else 20_000)
    return wanted


async def guarded(wanted: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run, and end the servers with the run when it is told to end."""
    run = Run(wanted, folder)
    row = next((row for row in ROWS if wanted.profile and wanted.profile in row.name), None)
    if wanted.profile and row is None:
        raise UnmeasurableError(f"no work is called {wanted.profile!r}; see --only in --help")
    task = asyncio.ensure_future(profiling.profile(run.fleet, row, say) if row else run.all())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def main() -> int:
    """Run, tell, and write what was asked for."""
    wanted = arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            found = uvloop.run(guarded(wanted, Path(folder)))
        if wanted.json:
            wanted.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        if wanted.write:
            rendering.write(found)
    except WrongAnswerError as error:
        print(f"The run is spoiled: {error}", file=sys.stderr)
        return 1
    except UnmeasurableError as error:
        print(f"This cannot be done here: {error}", file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        print("Ended before the end.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
