"""What the audit log costs: CPU for each event beside a verb that does nothing else, and how fast a long log is verified.

`uv run --group test python -m tests.endurance.audit_log [--events 200000] [--database URL]`. The database is a new SQLite file unless
a URL of an empty one is given. The figures are the medians of five rounds. Exit status 1 when the log does not verify.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time

from sqlalchemy import Connection

from oauth_server.store import chain
from oauth_server.store.records import AuditEvent
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit

ROUNDS, WRITES = 5, 2000
EVENT = AuditEvent("token.refreshed", "success", "alice", "c" * 22, "192.0.2.1", f"grant {'g' * 22}", 1.8e9, "r" * 32)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def nothing(_connection: Connection) -> bool:
    """A verb."""
    return True


async def _cpu(store: Store, at_once: int, *, recorded: bool) -> float:
    """Microseconds of CPU for a write."""
    numbers = iter(range(WRITES))

    async def write() -> None:
        for _ in numbers:
            if recorded:
                await store.write(audit.recorded, lambda _: EVENT, nothing)
            else:
                await store.write(nothing)

    started = time.process_time()
    await asyncio.gather(*(write() for _ in range(at_once)))
    return (time.process_time() - started) / WRITES * 1e6


async def measure(url: str, events: int) -> bool:
    """Measure, tell, and verify."""
    store = Store(url)
    try:
        for at_once in (1, 8, 64):
            pairs = [
                (await _cpu(store, at_once, recorded=True), await _cpu(store, at_once, recorded=False))
                for _ in range(ROUNDS)
            ]
            cost = statistics.median(one - other for one, other in pairs)
            say(f"{store.engine_name}, {at_once} at once: an event costs {cost:.0f} us of CPU")
        for _ in range(events // 1000):
            await store.write(audit.append, *[EVENT] * 1000)
        started = time.process_time()
        found = await store.read(chain.check, time.time())
        seconds = time.process_time() - started
    finally:
        store.close()
    cost = seconds / found.events * 1e6
    say(
        f"{found.events} events in {len(found.mark.positions)} lanes: {found.broken or 'right'}, {cost:.1f} us of CPU each"
    )
    return found.broken is not None


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--database", default="")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(wanted.database or f"sqlite:///{folder}/oauth.db", wanted.events))


if __name__ == "__main__":
    sys.exit(main())
