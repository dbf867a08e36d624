"""The topology of compose.scale.yml as processes: PostgreSQL, two replicas, and Caddy with its Caddyfile before them."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.support.program import free_port
from tests.support.replicas import Replicas, caddy, replicas

LOOKS = 2.5  # seconds until the proxy has certainly looked at each replica
APART = 5.0  # seconds from when a replica is ready to the end of the next one, as README.md says


@dataclass
class Site:
    """What clients see: an https address, and the authority that signed for it."""

    url: str
    tls: ssl.SSLContext
    replicas: Replicas

    @property
    def processes(self) -> list[str]:
        """The URLs of the replicas, beside the proxy."""
        return [f"http://127.0.0.1:{port}" for port in self.replicas.ports]

    def client(self, local_address: str | None = None) -> httpx2.AsyncClient:
        """A client of the public address, on some address of this computer."""
        transport = httpx2.AsyncHTTPTransport(verify=self.tls, local_address=local_address)
        return httpx2.AsyncClient(base_url=self.url, transport=transport, follow_redirects=False, timeout=20)


@asynccontextmanager
async def site_on(database: str, folder: Path) -> AsyncIterator[Site]:
    """Start all of it on a PostgreSQL; ready when this returns."""
    port = free_port()
    async with AsyncExitStack() as stack:
        pair = await stack.enter_async_context(replicas(folder, database, f"https://localhost:{port}"))
        proxy = await stack.enter_async_context(caddy(folder, port, pair.ports))
        yield Site(pair.url, ssl.create_default_context(cafile=proxy.authority), pair)
