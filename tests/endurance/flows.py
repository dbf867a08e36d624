"""The soak as long as one likes: how large the tables and the file are, after how many flows, and what housekeeping costs.

`uv run --group test python -m tests.endurance.flows [--flows 1000000] [--per-day 900] [--database URL]` prints a line for each ten
days of its clock. The database is a new SQLite file unless a URL of an empty one is given. Exit status 1 when a table
went on growing after the first 20 days, or the audit log, of which ten days are kept, is not what was written.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import psutil

from oauth_server.app.compose import open_services
from oauth_server.core.deployment import deploy
from oauth_server.core.housekeeping import Housekeeping
from oauth_server.core.settings import load
from oauth_server.store import chain
from oauth_server.store.verbs.audit import LANES
from tests.support.clock import ManualClock, at_once
from tests.support.soak import ENV, KINDS, Soak, sizes, steady

GROWN = 20  # days after which nothing may grow: whatever begins then ends within them


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def endure(database: str, flows: int, per_day: int) -> int:
    """Run, tell, and judge."""
    values = load({"MCP_OAUTH_DATABASE_URL": database, **ENV})
    rounds = max(1, per_day // len(KINDS))
    # Events leave by the clock of the database, so the days of this run are in its past.
    clock = ManualClock(float(int(time.time())) - 86_400 * (GROWN + 2 + flows // (rounds * len(KINDS))))
    opening = open_services(
        values, lambda _: deploy(values, "127.0.0.1", 8000), serves_http=False, clock=clock, steady_clock=clock
    )
    async with opening as opened:
        soak = Soak(opened.services, clock)
        keeping = Housekeeping(opened.services.store, clock, sleep=at_once, audit_days=10)
        await soak.begin()
        early: dict[str, int] = {}
        events = 0
        traffic = house = 0.0
        done = day = gone = 0
        while done < flows or day <= GROWN:
            started = time.perf_counter()
            await soak.day(rounds)
            between = time.perf_counter()
            gone += await keeping.round()
            traffic, house = traffic + between - started, house + time.perf_counter() - between
            done, day = done + rounds * len(KINDS), day + 1
            found = await opened.services.store.read(sizes)
            if day == GROWN:
                early, events = steady(found), found["audit"]
            if day % 10 == 0:
                told = ", ".join(f"{name} {rows}" for name, rows in found.items() if rows > len(KINDS))
                memory = psutil.Process().memory_info().rss >> 20
                say(f"day {day}, {done} flows, {gone} rows left, {traffic:.0f} + {house:.0f} s, {memory} MiB: {told}")
        log = await opened.services.store.read(chain.check, clock())
    grown = {name: (early[name], rows) for name, rows in steady(found).items() if rows > early[name]}
    if found["audit"] > events + LANES:  # of each lane one event stays that could leave
        grown["audit"] = (events, found["audit"])
    say(f"grown since day {GROWN}: {grown or 'nothing'}; housekeeping took {house / (house + traffic):.1%} of the time")
    say(f"the audit log: {log.broken or 'as it was written'}, {log.events} events")
    return bool(grown or log.broken)


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flows", type=int, default=1_000_000)
    parser.add_argument("--per-day", type=int, default=900)
    parser.add_argument("--database", default="")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = wanted.database or f"sqlite:///{folder}/oauth.db"
        status = asyncio.run(endure(url, wanted.flows, wanted.per_day))
        for file in sorted(Path(folder).iterdir()):
            say(f"{file.name}: {file.stat().st_size / 2**20:.1f} MiB")
    return status


if __name__ == "__main__":
    sys.exit(main())
