"""A real server on a real port, inside the test's event loop."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from oauth_server.app import serving
from oauth_server.app.mcp_server import McpServer
from oauth_server.core.clock import SteadyClock, steady
from oauth_server.core.fetched import Connect
from oauth_server.core.services import Services
from oauth_server.core.settings import load
from tests.support import shared  # noqa: F401 - it makes thousands of servers affordable
from tests.support.clock import ManualClock
from tests.support.databases import FIRST_START, OWNER, PASSWORD, Template
from tests.support.proxy import TlsProxy

__all__ = ["OWNER", "PASSWORD", "Running", "running"]


@dataclass
class Running:
    """A server that answers at `url` (its issuer), its clock and its insides."""

    url: str
    port: int
    clock: ManualClock
    server: McpServer
    location: str  # the URL of its database

    @property
    def database(self) -> Path:
        """The file of its database; for tests that are about SQLite."""
        return Path(self.location.removeprefix("sqlite:///"))

    @property
    def services(self) -> Services:
        return self.server.runtime.services

    def client(self, **kwargs: object) -> httpx2.AsyncClient:
        """An HTTP client that follows no redirect by itself; it reaches an https issuer through a proxy."""
        if self.url.startswith("https://"):
            return TlsProxy(self.port).client(self.url)
        return httpx2.AsyncClient(base_url=self.url, follow_redirects=False, **kwargs)  # type: ignore[arg-type]


@asynccontextmanager
async def running(
    template: Template,
    folder: Path,
    env: Mapping[str, str] | None = None,
    clock: ManualClock | None = None,
    connect: Connect | None = None,
    port: int = 0,
    steady_clock: SteadyClock = steady,
) -> AsyncIterator[Running]:
    """Start a server with this environment on a port, by default a free one; stop it at the end."""
    location = (env or {}).get("MCP_OAUTH_DATABASE_URL") or template.database(folder)
    bound = serving.bind("127.0.0.1", port)
    port = bound.getsockname()[1]
    values = {**FIRST_START, "MCP_OAUTH_DATABASE_URL": location, "MCP_PORT": str(port), **(env or {})}
    settings = load(values)
    clock = clock or ManualClock()
    server = McpServer(settings, clock, connect, steady_clock)
    started = asyncio.Event()
    task = asyncio.create_task(server.run_http_async(host=settings.host, sockets=[bound], started=started.set))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    try:
        yield Running(server.runtime.services.deployment.issuer, port, clock, server, location)
    finally:
        server.stop()
        await task
