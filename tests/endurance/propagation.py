"""How long another process still grants what was ended: every way to end something, many times, on both engines.

    uv run --group test python -m tests.endurance.propagation [--tries 50]

Two replicas on one database. The time runs from the answer to whoever ended it until both replicas refuse the token.
Tells the median and the longest time for each way; exit status 1 where one took a second or more.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.commands.conftest import Shell
from tests.support.databases import first_start
from tests.support.endings import ENDINGS, Installation
from tests.support.journey import LONGEST
from tests.support.postgres import postgres_server
from tests.support.replicas import replicas


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def measure(folder: Path, engine: str, database: str, tries: int) -> float:
    """Tell the times of one engine; the longest."""
    longest = 0.0
    async with replicas(folder, database) as pair:
        installation = Installation(pair, Shell(folder, {"MCP_OAUTH_DATABASE_URL": database}))
        for name, end in ENDINGS.items():
            times = [await installation.time(end) for _ in range(tries)]
            longest = max(longest, *times)
            say(f"{engine}: {name}: median {statistics.median(times):.2f} s, longest {max(times):.2f} s of {tries}")
    return longest


async def both(folder: Path, tries: int) -> float:
    """Measure on SQLite and on PostgreSQL; the longest time."""
    file = folder / "oauth.db"
    await first_start(f"sqlite:///{file}")
    longest = await measure(folder, "SQLite", f"sqlite:///{file}", tries)
    with ExitStack() as stack:
        url = stack.enter_context(stack.enter_context(postgres_server()).database())
        return max(longest, await measure(folder, "PostgreSQL", url, tries))


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=50)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return int(asyncio.run(both(Path(folder), wanted.tries)) >= LONGEST)


if __name__ == "__main__":
    sys.exit(main())
