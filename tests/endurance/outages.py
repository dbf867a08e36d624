"""Outages as they are, with the server as a process of its own, on PostgreSQL: what answers, after how long, and since when again.

    uv run --group test python -m tests.endurance.outages [--trust] [--behind-caddy]

Prints a line for each outage, and ends with status 1 where a promise is broken. `--trust` also waits for the minute after
which nothing remembered is trusted, twice: with PostgreSQL silent, and with the process itself stopped. `--behind-caddy`
asks two replicas through the Caddyfile of compose.scale.yml, and each outage has lasted for longer than it takes to look.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from oauth_server.core.revocation import TRUSTED_SECONDS
from tests.support.clock import ManualClock
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.outage import Witness
from tests.support.postgres import Postgres, postgres_server
from tests.support.program import SERVER, Program, environment, free_port, program
from tests.support.server import PASSWORD, Running
from tests.support.site import LOOKS, site_on

BOUND = 15.0  # seconds in which every request is answered


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass
class Stage:
    """Server processes, their database, what stands between them, and a client; `looks`: seconds until a proxy noticed."""

    processes: list[Program]
    postgres: Postgres
    proxy: FaultProxy
    witness: Witness
    looks: float = 0.0

    async def outage(self, name: str, begin: Callable[[], Awaitable[None]], end: Callable[[], Awaitable[None]]) -> None:
        """Everything at once when it begins, and again when it is known; then until it is over."""
        await begin()
        await asyncio.sleep(self.looks)
        await self.witness.everything_else_is_unavailable()
        first = self.witness.seconds
        await self.witness.everything_else_is_unavailable()
        began = time.monotonic()
        await self.witness.tokens_verify()
        verified = time.monotonic() - began
        assert await self.witness.health() == (200, 503)
        await end()
        again = await self.witness.recovered()
        say(
            f"{name}: seven requests answered 503 within {first:.2f} s, the next seven within {self.witness.seconds:.2f} s; "
            f"three tokens verified in {verified * 1000:.0f} ms; ready again after {again:.2f} s"
        )
        assert first < BOUND + 1

    async def silence(self) -> None:
        self.proxy.swallow()

    async def sound(self) -> None:
        self.proxy.flow()
        self.proxy.drop()

    async def slow(self, delay: float) -> None:
        """Each packet takes its time; everything is answered, or unavailable in time."""
        self.proxy.delay = delay
        began = time.monotonic()
        reply = await self.witness.client.refresh(self.witness.tokens["refresh_token"])
        took = time.monotonic() - began
        if reply.status_code == 200:
            self.witness.tokens = reply.json()
        self.proxy.delay = 0.0
        again = await self.witness.recovered()
        say(
            f"slow by {delay:.1f} s a packet: a refresh answered {reply.status_code} in {took:.2f} s; ready after {again:.2f} s"
        )
        assert took < BOUND + 1

    async def restarted(self, how: signal.Signals) -> None:
        """PostgreSQL goes and comes while clients refresh without a pause."""
        statuses: list[int] = []
        over = asyncio.Event()

        async def go_on() -> None:
            while not over.is_set():
                reply = await self.witness.client.refresh(self.witness.tokens["refresh_token"])
                statuses.append(reply.status_code)
                if reply.status_code == 200:
                    self.witness.tokens = reply.json()
                await asyncio.sleep(0.02)

        task = asyncio.create_task(go_on())
        await asyncio.sleep(0.5)
        began = time.monotonic()
        await asyncio.to_thread(self.postgres.stop, how)
        await asyncio.to_thread(self.postgres.start)
        down = time.monotonic() - began
        again = await self.witness.recovered()
        await asyncio.sleep(0.5)
        over.set()
        await task
        say(
            f"restarted with {how.name}, gone for {down:.2f} s: {statuses.count(200)} refreshes, {statuses.count(503)} of 503, "
            f"{len(statuses) - statuses.count(200) - statuses.count(503)} others; ready after {again:.2f} s"
        )
        assert set(statuses) <= {200, 503}

    async def distrust(self) -> None:
        """Two ways to know nothing for a minute."""
        began = time.monotonic()
        await self.silence()
        while (await self.witness.client.http.get("/oauth/test", headers=self.witness.bearer)).status_code == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        trusted = time.monotonic() - began
        await asyncio.sleep(self.looks)  # two replicas did not look at the same moment
        await self.witness.no_token_verifies()
        await self.sound()
        say(
            f"silent for longer: tokens verified for {trusted:.1f} s; ready after {await self.witness.recovered():.2f} s"
        )
        assert TRUSTED_SECONDS - 2 < trusted < TRUSTED_SECONDS + 2
        if self.looks:
            return  # what a proxy says about processes that stand still is its own affair
        [process] = [each.process for each in self.processes]
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(TRUSTED_SECONDS + 2)
        asked = asyncio.create_task(self.witness.client.http.get("/oauth/test", headers=self.witness.bearer))
        await asyncio.sleep(0.1)
        process.send_signal(signal.SIGCONT)
        status = (await asked).status_code
        say(
            f"stopped for a minute and let go on: the first answer is {status}; ready after {await self.witness.recovered():.2f} s"
        )
        assert status == 503


async def endure(*, trust: bool, behind_caddy: bool) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(postgres_server())
        proxy = await stack.enter_async_context(fault_proxy(stack.enter_context(postgres.database())))
        if behind_caddy:
            site = await stack.enter_async_context(site_on(proxy.url, folder))
            witness = await stack.enter_async_context(Witness.signed_in(site, site.processes))
            stage = Stage([*site.replicas.programs.values()], postgres, proxy, witness, LOOKS)
        else:
            port = free_port()
            own = {"MCP_PORT": str(port), "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD, "MCP_OAUTH_DATABASE_URL": proxy.url}
            process = await stack.enter_async_context(program(*SERVER, env=environment(folder, **own)))
            url = f"http://localhost:{port}"
            await process.ready(url)
            server = Running(url, port, ManualClock(), None, proxy.url)
            witness = await stack.enter_async_context(Witness.signed_in(server))
            stage = Stage([process], postgres, proxy, witness)
        witness.client.http.timeout = 30
        await witness.tokens_verify()  # the first call of a tool takes longer
        await stage.outage("refused", proxy.refuse, proxy.listen)
        await stage.outage("silent", stage.silence, stage.sound)
        for delay in (0.1, 0.3, 1.0):
            await stage.slow(delay)
        for how in (signal.SIGINT, signal.SIGQUIT):
            await stage.restarted(how)
        if trust:
            await stage.distrust()
        for each in stage.processes:
            assert "Traceback" not in each.err, each.err


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--behind-caddy", action="store_true")
    asyncio.run(endure(**vars(parser.parse_args())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
