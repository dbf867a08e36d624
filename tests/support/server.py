"""A real server on a real port, inside the test's event loop."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from oauth_server.app import serving
from oauth_server.app.compose import open_services
from oauth_server.app.mcp_server import McpServer
from oauth_server.core.deployment import deploy
from oauth_server.core.fetched import Connect
from oauth_server.core.services import Services
from oauth_server.core.settings import load
from tests.support import shared  # noqa: F401 - it makes thousands of servers affordable
from tests.support.clock import ManualClock

OWNER = "admin"
PASSWORD = "correct horse battery staple"
# Argon2 and RSA keys cost time: they are made once, and each server starts on a copy of this database.
_BASE = {"MCP_OAUTH_ADMIN_USERNAME": OWNER, "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD}


@dataclass
class Running:
    """A server that answers at `url` (its issuer), its clock and its insides."""

    url: str
    port: int
    clock: ManualClock
    server: McpServer
    database: Path

    @property
    def services(self) -> Services:
        return self.server.runtime.services

    def client(self, **kwargs: object) -> httpx2.AsyncClient:
        """An HTTP client that follows no redirect by itself."""
        return httpx2.AsyncClient(base_url=self.url, follow_redirects=False, **kwargs)  # type: ignore[arg-type]


async def make_template(folder: Path) -> Path:
    """A database with schema, keys, owner and the pre-registered client."""
    database = folder / "template.db"
    settings = load({**_BASE, "MCP_OAUTH_DATABASE_URL": f"sqlite:///{database}"})
    async with open_services(settings, lambda _: deploy(settings, "127.0.0.1", 8000), serves_http=True):
        pass
    return database


@asynccontextmanager
async def running(
    template: Path,
    folder: Path,
    env: Mapping[str, str] | None = None,
    clock: ManualClock | None = None,
    connect: Connect | None = None,
    port: int = 0,
) -> AsyncIterator[Running]:
    """Start a server with this environment on a port, by default a free one; stop it at the end."""
    database = folder / "oauth.db"
    if not database.exists():
        shutil.copy(template, database)
    bound = serving.bind("127.0.0.1", port)
    port = bound.getsockname()[1]
    values = {**_BASE, "MCP_OAUTH_DATABASE_URL": f"sqlite:///{database}", "MCP_PORT": str(port), **(env or {})}
    settings = load(values)
    clock = clock or ManualClock()
    server = McpServer(settings, clock, connect)
    started = asyncio.Event()
    task = asyncio.create_task(server.run_http_async(host=settings.host, sockets=[bound], started=started.set))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    try:
        yield Running(server.runtime.services.deployment.issuer, port, clock, server, database)
    finally:
        server.stop()
        await task
