"""What this server costs beside others: CPU, requests a second, latency, start and memory, in one run.

`uv run bench/run.py` starts this server and the yardsticks as processes, drives them in turns, checks every answer, and
prints tables with the targets of issue 7. One wrong answer spoils the run: exit status 1.
"""

import argparse
import asyncio
import json
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvloop

from bench import others, ours
from bench.load import WrongAnswerError
from bench.machine import machine, versions
from bench.measuring import CONNECTIONS, measure
from bench.peers import fleet
from bench.report import show_row, show_targets
from bench.rows import ENDPOINTS, GATE, judged


def say(text: str = "") -> None:
    """Print at once."""
    print(text, flush=True)


async def run(wanted: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure what is wanted; the result as JSON."""
    found: dict[str, Any] = {
        "command": shlex.join(["bench/run.py", *sys.argv[1:]]),
        "connections": CONNECTIONS,
        "machine": machine(folder),
        "versions": versions(),
        "rows": [],
    }
    chosen = [row for row in (*ENDPOINTS, *GATE) if not wanted.only or any(word in row.name for word in wanted.only)]
    async with fleet(folder, CONNECTIONS, {**ours.STARTING, **others.STARTING}) as servers:
        names = {name for row in chosen for name in row.columns.values()}
        await asyncio.gather(*(servers.peer(name) for name in names), return_exceptions=True)
        for row in chosen:
            rounds = wanted.pairs if row in GATE else wanted.rounds
            found["rows"].append(await measure(servers, row, rounds, wanted.share))
            say(show_row(found["rows"][-1]))
    found["targets"] = judged(found["rows"])
    say(show_targets(found["targets"]))
    return found


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under two minutes in all")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows whose name has one of these words in it")
    parser.add_argument("--rounds", type=int, help="rounds of each endpoint (5)")
    parser.add_argument("--pairs", type=int, help="rounds of each tool call (15)")
    parser.add_argument("--share", type=float, help="share of the usual number of requests in a round (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    wanted = parser.parse_args()
    few = wanted.quick
    wanted.rounds = wanted.rounds or (2 if few else 5)
    wanted.pairs = wanted.pairs or (3 if few else 15)
    wanted.share = wanted.share or (0.5 if few else 1.0)
    return wanted


async def guarded(wanted: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run, and end the servers with the run when it is told to end."""
    task = asyncio.ensure_future(run(wanted, folder))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def main() -> int:
    """Run, tell, and write what was asked for."""
    wanted = arguments()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            found = uvloop.run(guarded(wanted, Path(folder)))
        except WrongAnswerError as error:
            print(f"The run is spoiled: {error}", file=sys.stderr)
            return 1
        except asyncio.CancelledError:
            print("Ended before the end.", file=sys.stderr)
            return 1
    if wanted.json:
        wanted.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
