"""Kills the server in the midst of its work, and holds it to every word it gave.

`uv run --group test python -m tests.endurance.kills [--kills 200] [--engine sqlite|postgresql] [--workers 1|2] [--database-kills 10]`
starts the real program, has clients and people ask it for everything it does, kills all its processes at a random
moment (every other one aimed at a commit), starts it again and asks for all that was acknowledged. Of PostgreSQL some
crashes are its own. Exit status 1 when anything acknowledged was lost, or anything was given twice.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.crashes.harness import AIMS, crashes
from tests.support.postgres import Postgres, postgres_server


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def kill(url: str, folder: Path, wanted: argparse.Namespace, postgres: Postgres | None) -> int:
    """Run, tell, and judge."""
    began = time.monotonic()
    async with crashes(url, folder, workers=wanted.workers, seed=wanted.seed) as running:
        journal, chance = running.world.journal, running.world.random
        every = wanted.kills // wanted.database_kills if postgres is not None and wanted.database_kills else 0
        of_database = 0
        for number in range(1, wanted.kills + 1):
            aim = chance.choice(AIMS) if number % 2 else None
            crash = postgres.crash if postgres is not None and every and number % every == 0 else None
            of_database += crash is not None
            await running.round(chance.uniform(0.05, 1.5), aim=aim, crash=crash)
            if number % 10 == 0 or journal.violations:
                say(f"{number} kills, {time.monotonic() - began:.0f} s: {journal.facts} facts, {journal.violations}")
            if journal.violations:
                break
        await running.check_log()
    acknowledged, unknown = journal.acknowledged.total(), journal.unknown.total()
    took = f"{time.monotonic() - began:.0f} s, {running.starting:.0f} s of them starting again"
    say(f"{wanted.engine}: {running.kills} kills ({of_database} of PostgreSQL) in {took}")
    say(f"{acknowledged} acknowledged, {unknown} without an answer: {dict(journal.acknowledged)}")
    say(f"{journal.facts} facts checked, {len(journal.violations)} violations")
    return bool(journal.violations)


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--database-kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if wanted.engine == "sqlite":
            return asyncio.run(kill(f"sqlite:///{folder}/oauth.db", folder, wanted, None))
        postgres = stack.enter_context(postgres_server(durable=True))
        url = stack.enter_context(postgres.database())
        return asyncio.run(kill(url, folder, wanted, postgres))


if __name__ == "__main__":
    sys.exit(main())
