"""Several processes on one database, as clients see them: one address, and each request goes to another process."""

import asyncio
import os
import re
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

from tests.support.program import ROOT, SERVER, Program, environment, free_port, program
from tests.support.proxy import TlsProxy
from tests.support.server import PASSWORD

LOCKS = Path("/proc/locks")
WATCHED = "/oauth/test"  # asked again and again until a token is refused: that is no step of its own

# Older ones lose the body of what a replica did not accept, until they have found that it is gone (caddyserver/caddy#7360).
SENDS_BODIES_AGAIN = (2, 11, 0)


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
            await _stop(pid)
        way = TlsProxy(self._port)
        try:
            reply = await way.handle_async_request(request)
            await reply.aread()
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)
            await way.aclose()
        return reply


async def _stop(pid: int) -> None:
    """Stop a process at a moment when it holds no lock for which another one would wait."""
    os.kill(pid, signal.SIGSTOP)
    while _holds_lock(pid):
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(0.002)
        os.kill(pid, signal.SIGSTOP)


def _holds_lock(pid: int) -> bool:
    """Whether a process has locked a part of a file against others; never known where there is no /proc/locks."""
    return LOCKS.exists() and re.search(rf" WRITE {pid} ", LOCKS.read_text(encoding="ascii")) is not None


@dataclass
class Replicas:
    """Processes that serve `url` from one database, each on a port of its own."""

    url: str
    database: str
    ports: list[int]
    env: dict[str, str]
    stack: AsyncExitStack
    programs: dict[int, Program] = field(default_factory=dict)

    async def start(self, number: int) -> None:
        """Start a replica, in the place of one that ended; returns once it is ready."""
        port = self.ports[number]
        started = await self.stack.enter_async_context(program(*SERVER, "--port", str(port), env=self.env))
        self.programs[number] = started
        await started.ready(f"http://127.0.0.1:{port}")

    def client(self, **_kwargs: object) -> httpx2.AsyncClient:
        """A client whose requests go to one replica after the other."""
        return self._through(InTurn(self.ports))

    def at(self, number: int) -> httpx2.AsyncClient:
        """A client of one replica."""
        return self._through(TlsProxy(self.ports[number]))

    def _through(self, transport: httpx2.AsyncBaseTransport) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, transport=transport, follow_redirects=False)


@asynccontextmanager
async def replicas(folder: Path, database: str, url: str = "https://replicas.example") -> AsyncIterator[Replicas]:
    """Two replicas behind a proxy on this computer, started at the same time and ready."""
    settings = {
        "MCP_OAUTH_ISSUER": url,
        "MCP_OAUTH_DATABASE_URL": database,
        "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD,
        "MCP_OAUTH_TRUSTED_PROXIES": "127.0.0.1",
    }
    async with AsyncExitStack() as stack:
        found = Replicas(url, database, [free_port(), free_port()], environment(folder, **settings), stack)
        await asyncio.gather(*(found.start(number) for number in (0, 1)))
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


def caddy_version() -> tuple[int, ...]:
    """The version of this computer's Caddy."""
    said = subprocess.run([_caddy(), "version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(number) for number in re.findall(r"\d+", said)[:3])


def caddy_environment(port: int, upstreams: Sequence[int]) -> dict[str, str]:
    """What the Caddyfile of compose.scale.yml takes from the environment, for this computer's Caddy."""
    return {
        "SITE_ADDRESS": f"localhost:{port}",
        "UPSTREAMS": " ".join(f"127.0.0.1:{each}" for each in upstreams),
        **({"BUFFER": "buffer_requests"} if caddy_version() < (2, 6, 3) else {}),
    }


@asynccontextmanager
async def caddy(folder: Path, port: int, upstreams: Sequence[int]) -> AsyncIterator[Caddy]:
    """The system's Caddy with the Caddyfile of compose.scale.yml; its authority is its own, and lies in `folder`."""
    home = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(folder))
    env = home | caddy_environment(port, upstreams)
    command = (_caddy(), "run", "--config", str(ROOT / "Caddyfile"), "--adapter", "caddyfile")
    async with program(*command, env=env, cwd=folder) as proxy:
        await proxy.said("certificate obtained successfully")
        found = Caddy(port, folder / "caddy" / "pki" / "authorities" / "local" / "root.crt")
        await _serves_tls(found)  # a moment after it said so
        yield found


async def _serves_tls(proxy: Caddy) -> None:
    tls = ssl.create_default_context(cafile=proxy.authority)
    for _ in range(100):
        with suppress(OSError):
            _, writer = await asyncio.open_connection("localhost", proxy.port, ssl=tls)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.05)
    raise AssertionError("Caddy has no certificate")


def _caddy() -> str:
    found = shutil.which("caddy")
    assert found is not None
    return found
