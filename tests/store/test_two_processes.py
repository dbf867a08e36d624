"""Two processes on one database: nothing is lost, and what one revokes the other refuses within a second."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from oauth_server.core.revocation import RevocationFilter
from oauth_server.store.records import Revocation
from oauth_server.store.store import Store
from oauth_server.store.verbs import meta, revocations

ROOT = Path(__file__).parents[2]

WRITER = """
import asyncio, sys
from oauth_server.store.store import Store
from oauth_server.store.verbs import meta, revocations

async def main(url, name):
    store = Store(url)
    print("open", flush=True)
    sys.stdin.readline()
    for n in range(20):
        writes = [store.write(meta.remember, f"{name}-{n}-{m}", "v") for m in range(9)]
        await asyncio.gather(*writes, store.write(revocations.bump))
    store.close()

asyncio.run(main(*sys.argv[1:]))
"""

REVOKER = """
import asyncio, sys, time
from oauth_server.store.records import Revocation
from oauth_server.store.store import Store
from oauth_server.store.verbs import revocations

async def main(url):
    store = Store(url)
    print("open", flush=True)
    for line in sys.stdin:
        now = time.time()
        await store.write(revocations.revoke, [Revocation("grant", line.strip(), now, now + 60)])
        print("revoked", flush=True)
    store.close()

asyncio.run(main(sys.argv[1]))
"""

Process = asyncio.subprocess.Process


@asynccontextmanager
async def process(script: str, *args: str) -> AsyncIterator[Process]:
    """Run a script and wait until it has opened the store; it must end well."""
    pipe = asyncio.subprocess.PIPE
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *args, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield started
        _, err = await asyncio.wait_for(started.communicate(b""), 60)  # also says that no more will be told
        assert started.returncode == 0, err.decode()
    finally:
        with suppress(ProcessLookupError):
            started.kill()


async def said(started: Process, word: bytes) -> None:
    """Read the next line, which must be this word."""
    assert started.stdout is not None
    line = await asyncio.wait_for(started.stdout.readline(), 60)
    if line.strip() != word:
        assert started.stderr is not None
        raise AssertionError((await started.stderr.read()).decode())


async def tell(started: Process, line: str) -> None:
    """Send a line."""
    assert started.stdin is not None
    started.stdin.write(f"{line}\n".encode())
    await started.stdin.drain()


async def test_two_processes_write_and_nothing_is_lost(store: Store, empty_database: str) -> None:
    async with process(WRITER, empty_database, "a") as one, process(WRITER, empty_database, "b") as two:
        for started in (one, two):
            await said(started, b"open")
        for started in (one, two):
            await tell(started, "go")
        for number in range(50):  # this process takes part as well
            await store.write(meta.remember, f"c-{number}", "v")
    written = await store.read(lambda c: set(c.execute(text("SELECT name FROM meta")).scalars()))
    wanted = {f"{name}-{n}-{m}" for name in "ab" for n in range(20) for m in range(9)}
    assert written == wanted | {f"c-{number}" for number in range(50)}
    assert await store.read(revocations.current_epoch) == 40


@pytest.mark.requirement("attack-64")
async def test_a_revocation_by_another_process_is_known_within_a_second(store: Store, empty_database: str) -> None:
    found = RevocationFilter(store, time.time)
    await found.refresh()
    heard = []
    found.on_change(lambda: heard.append(time.monotonic()))
    polling = asyncio.create_task(found.poll())
    try:
        async with process(REVOKER, empty_database) as other:
            await said(other, b"open")
            for number in range(3):
                entries = (("token", "t"), ("grant", f"g{number}"))
                assert not found.suspects(entries)
                await tell(other, f"g{number}")
                await said(other, b"revoked")
                at = time.monotonic()
                while not found.suspects(entries):
                    await asyncio.sleep(0.02)
                    assert time.monotonic() - at < 1, "a second has passed"
                assert await found.confirmed(entries, time.time() - 60)
                assert not await found.confirmed(entries, time.time() + 60)
            assert len(heard) == 3
    finally:
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling


async def test_what_another_process_revoked_before_the_start_is_known_at_once(store: Store) -> None:
    now = time.time()
    await store.write(revocations.revoke, [Revocation("user", "u", now, now + 60)])
    found = RevocationFilter(store, time.time)
    await found.refresh()
    assert found.suspects((("user", "u"),))
