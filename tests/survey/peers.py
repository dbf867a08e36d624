"""How each of the other servers is started, where it answers, and who signs in there."""

import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import anyio
import httpx2

from oauth_server.compliance import LIMITS, Report, SpecVersion, audit
from oauth_server.compliance.form_visitor import FormVisitor
from oauth_server.outbound import Outbound
from tests.support.npm import PACKAGES, Npm
from tests.support.program import ROOT, SERVER, environment, free_port, program
from tests.support.server import OWNER, PASSWORD

HERE = Path(__file__).parent
SDK_EXAMPLE = "examples/servers/simple-auth"  # in the SDK's repository
STARTING = 60  # seconds


@dataclass(frozen=True)
class Peer:
    """A running server: what it is, where it is judged, and the user of its login form."""

    key: str
    name: str
    version: str
    target: str
    user: str
    password: str


async def _answers(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        with anyio.fail_after(STARTING):
            while True:
                try:
                    await http.get(url)
                except httpx2.TransportError:
                    await anyio.sleep(0.1)
                else:
                    return


@asynccontextmanager
async def this_server(folder: Path) -> AsyncIterator[Peer]:
    """This server, as its README starts it."""
    port = free_port()
    env = environment(folder, MCP_PORT=str(port), MCP_OAUTH_ADMIN_PASSWORD=PASSWORD)
    async with program(*SERVER, env=env) as server:
        await server.ready(f"http://localhost:{port}")
        number = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
        target = f"http://localhost:{port}/mcp"
        yield Peer("this", "This server", f"version {number}", target, OWNER, PASSWORD)


@asynccontextmanager
async def in_memory(folder: Path) -> AsyncIterator[Peer]:
    """FastMCP's in-memory provider, which approves whatever is asked."""
    port = free_port()
    async with program(sys.executable, str(HERE / "in_memory.py"), str(port), env=environment(folder)):
        target = f"http://127.0.0.1:{port}/mcp"
        await _answers(target)
        yield Peer("fastmcp", "FastMCP InMemoryOAuthProvider", f"fastmcp {version('fastmcp')}", target, "", "")


@asynccontextmanager
async def oidc_provider(npm: Npm, folder: Path) -> AsyncIterator[Peer]:
    """The npm package oidc-provider, an authorization server alone."""
    port = free_port()
    node = npm.folder / npm.node / "bin" / "node"
    script = npm.folder.parent / "oidc_provider.mjs"  # beside node_modules, where it finds the package
    script.write_text((HERE / "oidc_provider.mjs").read_text(encoding="utf-8"), encoding="utf-8")
    async with program(str(node), str(script), str(port), env=environment(folder)):
        target = f"http://localhost:{port}"
        await _answers(target)
        yield Peer(
            "oidc-provider",
            "npm oidc-provider",
            f"oidc-provider {PACKAGES['oidc-provider']}",
            target,
            "somebody",
            "anything",
        )


@asynccontextmanager
async def sdk_example(checkout: Path, folder: Path) -> AsyncIterator[Peer]:
    """The SDK's example: an authorization server of its own, and a resource server that asks it about tokens."""
    server, resource = free_port(), free_port()
    issuer = f"http://localhost:{server}"
    example = checkout / SDK_EXAMPLE
    run = "import sys, importlib; importlib.import_module(sys.argv.pop(1)).main()"
    async with AsyncExitStack() as stack:
        command = (sys.executable, "-c", run, "mcp_simple_auth.auth_server", "--port", str(server))
        await stack.enter_async_context(program(*command, env=environment(folder, PYTHONWARNINGS=""), cwd=example))
        await _answers(issuer)
        options = ("--port", str(resource), "--auth-server", issuer, "--transport", "streamable-http", "--oauth-strict")
        command = (sys.executable, "-c", run, "mcp_simple_auth.server", *options)
        await stack.enter_async_context(program(*command, env=environment(folder, PYTHONWARNINGS=""), cwd=example))
        target = f"http://localhost:{resource}/mcp"
        await _answers(target)
        yield Peer("sdk", "MCP Python SDK, simple-auth", f"mcp {version('mcp')}", target, "demo_user", "demo_password")


async def judge(peer: Peer, spec_version: SpecVersion = "2026-07-28") -> Report:
    """Audit a peer as its operator does."""
    outbound = Outbound(local=True, limits=LIMITS["adversarial"])
    return await audit(
        peer.target,
        outbound=outbound,
        spec_version=spec_version,
        depth="adversarial",
        visitor=FormVisitor(outbound, peer.user, peer.password),
    )
