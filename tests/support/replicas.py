"""Several processes on one database, as clients see them: one address, and each request goes to another process."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

from tests.support.program import ROOT, SERVER, Program, environment, free_port, program
from tests.support.proxy import TlsProxy
from tests.support.server import PASSWORD

WATCHED = "/oauth/test"  # asked again and again until a token is refused: that is no step of its own


class InTurn(httpx2.AsyncBaseTransport):
    """Sends each request to another process than the one before; `log` has (process, method, path)."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ways = [TlsProxy(port) for port in ports]
        self.log: list[tuple[int, str, str]] = []

    def turn(self, request: httpx2.Request) -> int:
        """The process that is next."""
        turn = len(self.log) % len(self._ways)
        if request.url.path != WATCHED:
            self.log.append((turn, request.method, request.url.path))
        return turn

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it on."""
        return await self._ways[self.turn(request)].handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for way in self._ways:
            await way.aclose()


class WorkersInTurn(InTurn):
    """The same for workers behind one port: while one has its turn, the others are stopped (SIGSTOP)."""

    def __init__(self, port: int, workers: Sequence[int]) -> None:
        super().__init__([port] * len(workers))
        self._port = port
        self._workers = workers

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it on, over a connection of its own: only a worker that runs accepts one."""
        turn = self.turn(request)
        others = [pid for number, pid in enumerate(self._workers) if number != turn]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        way = TlsProxy(self._port)
        try:
            reply = await way.handle_async_request(request)
            await reply.aread()
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)
            await way.aclose()
        return reply


@dataclass
class Replicas:
    """Processes that serve `url` from one database, each on a port of its own."""

    url: str
    database: str
    ports: list[int]
    programs: list[Program] = field(default_factory=list)

    def client(self, **_kwargs: object) -> httpx2.AsyncClient:
        """A client whose requests go to one replica after the other."""
        return self.through(InTurn(self.ports))

    def at(self, number: int) -> httpx2.AsyncClient:
        """A client of one replica."""
        return TlsProxy(self.ports[number]).client(self.url)

    def through(self, transport: httpx2.AsyncBaseTransport) -> httpx2.AsyncClient:
        """A client of the public address that reaches it in some way."""
        return httpx2.AsyncClient(base_url=self.url, transport=transport, follow_redirects=False)


def replica_environment(folder: Path, url: str, database: str, **env: str) -> dict[str, str]:
    """What each replica is started with; Caddy runs on this computer."""
    values = {
        "MCP_OAUTH_ISSUER": url,
        "MCP_OAUTH_DATABASE_URL": database,
        "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD,
        "MCP_OAUTH_TRUSTED_PROXIES": "127.0.0.1",
        **env,
    }
    return environment(folder, **values)


@asynccontextmanager
async def replicas(
    folder: Path, database: str, url: str = "https://replicas.example", count: int = 2, **env: str
) -> AsyncIterator[Replicas]:
    """Start the replicas at the same time, and wait until all are ready."""
    found = Replicas(url, database, [free_port() for _ in range(count)])
    values = replica_environment(folder, url, database, **env)
    async with AsyncExitStack() as stack:
        for port in found.ports:
            starting = program(*SERVER, "--port", str(port), env=values)
            found.programs.append(await stack.enter_async_context(starting))
        await asyncio.gather(
            *(each.ready(f"http://127.0.0.1:{port}") for each, port in zip(found.programs, found.ports, strict=True))
        )
        yield found


def workers_of(parent: Program) -> list[int]:
    """The process ids of the workers of `server.py --workers N`, the oldest first."""
    found = []
    for child in psutil.Process(parent.process.pid).children():
        with suppress(psutil.Error):  # one that just ended
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
    return sorted(found)


@dataclass
class Caddy:
    """A running proxy: the port of its TLS side, and the authority that signed for it."""

    port: int
    authority: Path


@asynccontextmanager
async def caddy(folder: Path, port: int, upstreams: Sequence[int]) -> AsyncIterator[Caddy]:
    """Debian's Caddy with the Caddyfile of compose.scale.yml; its authority is its own, and lies in `folder`."""
    found = shutil.which("caddy")
    assert found is not None
    env: Mapping[str, str] = {
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "SITE_ADDRESS": f"localhost:{port}",
        "UPSTREAMS": " ".join(f"127.0.0.1:{each}" for each in upstreams),
    }
    command = (found, "run", "--config", str(ROOT / "Caddyfile"), "--adapter", "caddyfile")
    async with program(*command, env=env, cwd=folder) as proxy:
        await proxy.said("serving initial configuration")
        yield Caddy(port, folder / "caddy" / "pki" / "authorities" / "local" / "root.crt")
