"""Rolling restarts behind the proxy, again and again under traffic: no request may fail.

    uv run --group test python -m tests.endurance.rolling [--rounds 10] [--clients 3]

PostgreSQL, two replicas and Caddy with the Caddyfile of compose.scale.yml. In each round both replicas are restarted, one
after the other, each by SIGTERM. Tells how many requests were answered, and how long they took; exit status 1 where one failed.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support.postgres import postgres_server
from tests.support.site import APART, site_on
from tests.support.traffic import Traffic


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def roll(folder: Path, rounds: int, clients: int) -> int:
    """Run, tell, and judge."""
    ends = []
    with postgres_server() as postgres, postgres.database() as database:
        async with site_on(database, folder) as site:
            async with Traffic(site, clients) as traffic:
                for _ in range(rounds):
                    for number in (0, 1):
                        began = time.monotonic()
                        assert (await site.replicas.programs[number].end()).status == 0
                        ends.append(time.monotonic() - began)
                        await site.replicas.start(number)
                        await asyncio.sleep(APART)
            times = sorted(seconds for found in traffic.times.values() for seconds in found)
    say(
        f"{2 * rounds} restarts, {len(times)} requests answered, {len(traffic.failed)} failed; "
        f"median {statistics.median(times) * 1000:.0f} ms, p99 {times[len(times) * 99 // 100] * 1000:.0f} ms, "
        f"longest {times[-1]:.2f} s; a replica ended within {max(ends):.1f} s"
    )
    for failure in traffic.failed:
        say(failure)
    return bool(traffic.failed)


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--clients", type=int, default=3)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(roll(Path(folder), wanted.rounds, wanted.clients))


if __name__ == "__main__":
    sys.exit(main())
