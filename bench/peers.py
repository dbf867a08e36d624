"""The measured servers as their clients see them: clients, a signed-in person, a consent, MCP sessions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import httpx2

from bench.processes import Server, UnmeasurableError, environment, serve
from tests.support.oauth import CALLBACK, Pkce

PASSWORD = "correct horse battery staple"
SCOPE = "mcp:read mcp:write"
REDIRECTS = 10  # from an authorization request to its code


@dataclass
class Slot:
    """What one connection holds: a confidential client, a browser's cookies, tokens, an MCP session."""

    client_id: str = ""
    client_secret: str = ""
    cookie: str = ""
    access_token: str = ""
    refresh_token: str = ""
    session_id: str = ""
    machine: dict[str, str] = field(default_factory=dict)  # the credentials of a client that acts for itself

    @property
    def auth(self) -> dict[str, str]:
        """The client's credentials in a form (client_secret_post)."""
        return {"client_id": self.client_id, "client_secret": self.client_secret}


@dataclass(frozen=True)
class Paths:
    """Where a server's endpoints are."""

    metadata: str
    jwks: str
    authorize: str
    token: str
    introspect: str
    constant: str = "/constant"


@dataclass
class Peer:
    """A running server and what its clients hold.

    `signed`: its access tokens are JWTs of ES256. `warm`: units of a kind of work after which it gets no faster.
    `proxied`: it has an https issuer, and is reached as through a reverse proxy that ends TLS.
    """

    server: Server
    paths: Paths
    slots: list[Slot]
    scope: str = SCOPE
    signed: bool = False
    warm: int = 300
    issuer: str = ""
    proxied: bool = False
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its origin."""
        return self.server.url


class Fleet:
    """The servers of a run; each is started when it is first asked for, and ends with the run."""

    def __init__(self, stack: AsyncExitStack, folder: Path, slots: int, starting: "Mapping[str, Starting]") -> None:
        self.stack, self.folder, self.slots = stack, folder, slots
        self._known = starting
        self._starting: dict[str, asyncio.Task[Peer]] = {}

    async def peer(self, name: str) -> Peer:
        """The server of a name; raises UnmeasurableError where it cannot run."""
        if name not in self._starting:
            kind, _, _ = name.partition("/")  # what stands behind it keeps two apart
            self._starting[name] = asyncio.create_task(self._known[kind](self))
        return await self._starting[name]

    async def run(
        self,
        name: str,
        *command: str,
        paths: Paths,
        port: int,
        env: Mapping[str, str] | None = None,
        bare: bool = False,
    ) -> Peer:
        """Start a server; `bare`: no client ever comes to it."""
        serving = serve(name, command, port, self.folder, environment(**(env or {})))
        server = await self.stack.enter_async_context(serving)
        await server.settled()
        return Peer(server, paths, [Slot() for _ in range(0 if bare else self.slots)], issuer=server.url)


Starting = Callable[[Fleet], Coroutine[Any, Any, Peer]]


def settings(fleet: Fleet, name: str, port: int, **env: str) -> dict[str, str]:
    """What an operator sets for a server of ours; SQLite is durable by default (synchronous=FULL)."""
    folder = fleet.folder / f"{name}-{port}"
    folder.mkdir()
    return {
        "MCP_PORT": str(port),
        "MCP_OAUTH_DATABASE_URL": f"sqlite:///{folder}/oauth.db",
        "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD,
        "MCP_LOG_LEVEL": "warning",
        **env,
    }


async def sign_in(peer: Peer, slot: Slot, http: httpx2.AsyncClient) -> None:
    """Follow an authorization to its code, redeem it, and keep the cookies."""
    pkce = Pkce.new()
    where = f"{peer.url}{peer.paths.authorize}?{urlencode(asked(peer, slot, pkce))}"
    for _ in range(REDIRECTS):
        if where.startswith(CALLBACK):
            break
        reply = await http.get(where)
        if reply.status_code not in (302, 303):
            raise UnmeasurableError(f"{peer.server.name} answered {reply.status_code} to an authorization request")
        where = urljoin(where, reply.headers["location"])
    code = httpx2.URL(where).params.get("code", "")
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, **slot.auth}
    reply = await http.post(peer.paths.token, data={**form, "code_verifier": pkce.verifier})
    if reply.status_code != httpx2.codes.OK:
        raise UnmeasurableError(f"{peer.server.name} gave no tokens: {reply.text[:300]}")
    slot.access_token, slot.refresh_token = reply.json()["access_token"], reply.json()["refresh_token"]
    slot.cookie = "; ".join(f"{one.name}={one.value}" for one in http.cookies.jar)


def asked(peer: Peer, slot: Slot, pkce: Pkce) -> dict[str, str]:
    """The parameters of an authorization request."""
    return {
        "client_id": slot.client_id,
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
        "scope": peer.scope,
        "state": "state-of-the-benchmark",
    }


async def handshake(peer: Peer) -> None:
    """Open an MCP session for each slot, where the server keeps sessions (2025-11-25)."""
    client = {"name": "bench", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    first = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    then = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    async with httpx2.AsyncClient(base_url=peer.url) as http:
        for slot in peer.slots:
            fields = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
            fields |= {"Authorization": f"Bearer {slot.access_token}"} if slot.access_token else {}
            reply = (await http.post("/mcp", json=first, headers=fields)).raise_for_status()
            slot.session_id = reply.headers["mcp-session-id"]
            fields["Mcp-Session-Id"] = slot.session_id
            (await http.post("/mcp", json=then, headers=fields)).raise_for_status()


@asynccontextmanager
async def fleet(folder: Path, slots: int, starting: Mapping[str, Starting]) -> AsyncIterator[Fleet]:
    """The servers of a run; `starting`: by name how one is started."""
    async with AsyncExitStack() as stack:
        yield Fleet(stack, folder, slots, starting)
