"""Many redemptions of one code, and many uses of one refresh token, at once and through several processes.

`uv run --group test python -m tests.endurance.races [--races 1000] [--many 32] [--engine sqlite|postgresql] [--processes 2]` starts
the program several times on one database and races in turn: a code, a refresh token. Of each hundred races some are of
a refresh token against its revocation, and of registrations. Exit status 1 when more than one won, or none.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.postgres import postgres_server
from tests.support.racing import races


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def race(url: str, folder: Path, wanted: argparse.Namespace) -> int:
    """Run, tell, and judge."""
    began, violations, held = time.monotonic(), 0, 0
    for grace in (30, 0):
        async with races(url, folder, processes=wanted.processes, grace=grace) as running:
            refreshing = running.refreshes if grace else running.refreshes_without_grace
            share = wanted.races if grace else max(1, wanted.races // 10)
            for number in range(1, share + 1):
                if grace:
                    await running.redemptions(wanted.many)
                await refreshing(wanted.many)
                if number % 25 == 0:
                    await running.refreshes_and_a_revocation(wanted.many)
                    await running.registrations(wanted.many)
                if number % 50 == 0 or running.violations:
                    say(f"grace {grace}, {number} races, {time.monotonic() - began:.0f} s: {running.violations}")
                if running.violations:
                    break
            violations, held = violations + len(running.violations), held + running.held
    of_codes = f"{wanted.races} races of {wanted.many} redemptions of a code, {wanted.races} of a refresh token"
    say(
        f"{wanted.engine}, {wanted.processes} processes: {of_codes}, {max(1, wanted.races // 10)} without a grace window"
    )
    say(f"{held} facts, {violations} violations, {time.monotonic() - began:.0f} s")
    return bool(violations)


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, default=1000)
    parser.add_argument("--many", type=int, default=32)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--processes", type=int, default=2)
    wanted = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder}/oauth.db"
        if wanted.engine == "postgresql":
            url = stack.enter_context(stack.enter_context(postgres_server()).database())
        return asyncio.run(race(url, folder, wanted))


if __name__ == "__main__":
    sys.exit(main())
