"""The program on one database, killed and started again, with a load before each kill and questions after it."""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select

from oauth_server.core.administration import Administration
from oauth_server.core.settings import load
from oauth_server.store import chain
from oauth_server.store.schema import audit
from oauth_server.store.store import Store
from tests.support.crashes.applications import Flow, Machine, Registrar
from tests.support.crashes.journal import Actor, Journal, LostError, World
from tests.support.crashes.people import FIRST_PASSWORD, Consents, Disabled, Password
from tests.support.issuers import HTTPS
from tests.support.journey import LONGEST
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, OAuthClient
from tests.support.program import SERVER, Program, environment, free_port, program

COLD = 10  # every so many starts the program is started as its user would, the others are forks of a loaded one
AIMS = (
    "client.registered",
    "client.deleted",
    "consent",
    "code.redeemed",
    "token.refreshed",
    "grant.revoked",
    "password.changed",
    "application.disconnected",
)


def told(connection: Connection) -> Counter[str]:
    """How many successes of each kind the audit log has; a verb."""
    rows = connection.execute(
        select(audit.c.event, func.count()).where(audit.c.outcome == "success").group_by(audit.c.event)
    )
    return Counter({str(event): count for event, count in rows})


@dataclass
class Crashes:
    """One database, and everybody who was given something by the server on it."""

    world: World
    env: dict[str, str]
    workers: int
    store: Store
    actors: list[Actor]
    before: Counter[str]
    stack: AsyncExitStack
    preloaded: Program | None = None
    group: int = 0  # the process group of the program
    kills: int = 0
    starts: int = 0
    starting: float = 0.0  # seconds, of all starts

    async def round(self, seconds: float, *, aim: str | None = None, crash: Callable[[], object] | None = None) -> None:
        """A load for so long, or until a moment after the first request of that kind; the crash; the questions.

        Without `crash` the server itself is killed, with all its processes.
        """
        journal = self.world.journal
        journal.aimed, journal.fire = aim, asyncio.Event()
        load = [asyncio.create_task(actor.load()) for actor in self.actors]
        with suppress(TimeoutError):
            await asyncio.wait_for(journal.fire.wait(), 3 if aim else seconds)
        await asyncio.sleep(self.world.random.uniform(0, 0.02) if aim else 0)
        if crash is None:
            await self.kill()
        else:
            await asyncio.to_thread(crash)
        self.kills += 1
        journal.aimed = None
        await _ended(load)
        if crash is None:
            await self.start()
        await self._serving.ready(f"http://127.0.0.1:{self.world.port}")
        if crash is not None:
            # A revocation whose commit was not answered is announced all the same, and taken in with the next look.
            await asyncio.sleep(LONGEST)
        await self.check()

    async def start(self) -> None:
        """Start the program; it runs until it is killed. Every tenth start, and each with workers, is a cold one."""
        began = time.monotonic()
        options = ("--workers", str(self.workers))
        if self.workers > 1 or self.starts % COLD == 0:
            self._serving = await self.stack.enter_async_context(program(*SERVER, *options, env=self.env))
            self.group = self._serving.process.pid
        else:
            if self.preloaded is None:
                command = (sys.executable, "-m", "tests.support.crashes.preloaded")
                self.preloaded = await self.stack.enter_async_context(program(*command, env=self.env))
            self._serving = self.preloaded
            self.group = int(await self._tell(f"{' '.join(options)}\n"))
        self.starts += 1
        await self._serving.ready(f"http://127.0.0.1:{self.world.port}")
        self.starting += time.monotonic() - began

    async def kill(self) -> None:
        """SIGKILL, to every process of it; returns when it is gone."""
        os.killpg(self.group, signal.SIGKILL)
        if self._serving is self.preloaded:
            assert await self._tell("") == "ended"
        else:
            await self._serving.process.wait()

    async def _tell(self, line: str) -> str:
        """Send the preloaded program a line, and return the next one that it says."""
        assert self._serving.process.stdin is not None
        assert self._serving.process.stdout is not None
        self._serving.process.stdin.write(line.encode())
        said = await asyncio.wait_for(self._serving.process.stdout.readline(), 60)
        assert said, self._serving.err
        return said.decode().strip()

    async def check(self) -> None:
        """Ask for everything."""
        await asyncio.gather(*(actor.check() for actor in self.actors))
        journal = self.world.journal
        # What was acknowledged is in the log; what is in the log besides was asked for and not answered.
        found = await self.store.read(told)
        for event, count in journal.acknowledged.items():
            made = found[event] - self.before[event]
            within = count <= made <= count + journal.unknown[event]
            journal.fact(within, f"{event}: {count} acknowledged, {journal.unknown[event]} unknown, {made} in the log")

    async def check_log(self) -> None:
        """Follow the hash chain of the whole audit log."""
        found = await self.store.read(chain.check, time.time())
        self.world.journal.fact(found.broken is None, f"the audit log: {found.broken}")


async def _ended(load: "list[asyncio.Task[None]]") -> None:
    # Whoever hears of the crash has ended; who was between two requests, or waits for Argon2, need not find out.
    await asyncio.wait(load, timeout=0.3)
    for task in load:
        task.cancel()
    for outcome in await asyncio.gather(*load, return_exceptions=True):
        if isinstance(outcome, Exception) and not isinstance(outcome, LostError):
            raise outcome


@asynccontextmanager
async def crashes(database_url: str, folder: Path, *, workers: int = 1, seed: int = 0) -> AsyncIterator[Crashes]:
    """Prepare a database with people and clients, and a load; `database_url` is of an empty one."""
    port = free_port()
    url = HTTPS  # a session of such an issuer serves many requests
    # Everybody has an address of their own, so that nobody meets a limit by address.
    own = {"MCP_OAUTH_ISSUER": url, "MCP_OAUTH_DATABASE_URL": database_url, "MCP_PORT": str(port)}
    own |= {"MCP_OAUTH_TRUSTED_PROXIES": "127.0.0.1", "MCP_OAUTH_ADMIN_PASSWORD": FIRST_PASSWORD}
    env = environment(folder, **own)
    world = World(url, port, Journal(), random.Random(seed))  # noqa: S311 - which moment, not a secret
    async with AsyncExitStack() as stack:
        found = Crashes(world, env, workers, None, [], Counter(), stack)  # type: ignore[arg-type]
        await found.start()
        try:
            store = found.store = Store(database_url)
            stack.callback(store.close)
            found.actors = await _everybody(world, Administration(load(own), url, store, time.time))
            found.before = await store.read(told)
            await asyncio.gather(*(a.sign_in() for a in found.actors if isinstance(a, Flow | Consents)))
            yield found
        finally:
            await found.kill()  # before the stack ends what started it
            for http in world.opened:
                await http.aclose()


async def _everybody(world: World, operator: Administration) -> list[Actor]:
    for name in ("flora", "conny", "paula", "dieter"):
        assert await operator.add_user(name, FIRST_PASSWORD, ("mcp:read", "mcp:write"))
    metadata = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_basic"}
    remembered = await operator.registration.add({**metadata, "client_name": "Remembered"})
    machine = await operator.registration.add(
        {**metadata, "client_name": "Machine", "grant_types": ["client_credentials"]},
        grant_types=("client_credentials",),
    )
    public = OAuthClient(world, DEFAULT_CLIENT)  # type: ignore[arg-type]
    return [
        Registrar(world),
        Flow(world, "flora", public),
        Flow(world, "admin", public),
        Consents(world, "conny", world.application(remembered)),
        Password(world, "paula"),
        Disabled(world, "dieter", public, operator),
        Machine(world, world.application(machine)),
    ]
