"""What the gate and its token check cost by themselves, in microseconds of CPU, called in this process."""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jose import jws
from starlette.applications import Starlette
from starlette.routing import Route

from oauth_server.app.compose import open_services
from oauth_server.core.deployment import deploy
from oauth_server.core.services import Runtime
from oauth_server.core.settings import load
from oauth_server.core.tokens import Tokens
from oauth_server.gate.gate import Gate

COLD, WARM = 200, 2_000  # calls in a round
Call = Callable[[int], Awaitable[object]]


async def _microseconds(call: Call, calls: int) -> float:
    """CPU of one call, of so many."""
    started = time.process_time()
    for number in range(calls):
        await call(number)
    return (time.process_time() - started) / calls * 1e6


def _issued(tokens: Tokens, audience: str, number: int) -> list[str]:
    return [
        tokens.issue_access(
            subject="somebody", client_id="client", scope=("mcp:read",), audience=audience, grant_id=f"grant-{one}"
        )
        for one in range(number)
    ]


class _Passing:
    """An application behind the gate that does nothing but count."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, _scope: Any, _receive: Any, _send: Any) -> None:
        self.calls += 1


def _starlette(app: _Passing) -> Starlette:
    """The application where FastMCP has its endpoint."""
    return Starlette(routes=[Route("/mcp", app)])


def _through(gate: Gate, token: str) -> Call:
    """A tools/call with this token, as uvicorn hands it over."""
    params = {"name": "mcp_oauth_protected_resource_metadata", "arguments": {}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    headers = [
        (b"host", b"localhost:8000"),
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream"),
        (b"mcp-protocol-version", b"2025-11-25"),
        (b"authorization", f"Bearer {token}".encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "scheme": "http"}

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        raise AssertionError(message)  # the gate hands everything on

    async def call(_number: int) -> None:
        await gate({**scope, "headers": headers, "client": ("127.0.0.1", 40_000)}, receive, send)

    return call


@asynccontextmanager
async def _running() -> AsyncIterator[Runtime]:
    with tempfile.TemporaryDirectory() as folder:
        settings = load({"MCP_OAUTH_DATABASE_URL": f"sqlite:///{Path(folder) / 'oauth.db'}"})
        opening = open_services(settings, lambda _: deploy(settings, "127.0.0.1", 8000), serves_http=False)
        async with opening as opened:
            runtime = Runtime()
            runtime.start(opened.services)
            yield runtime


async def measure(rounds: int) -> dict[str, float]:
    """Medians of the rounds: a known token, an unknown one, its signature alone by python-jose, the gate."""
    async with _running() as runtime:
        services = runtime.services
        tokens, names = services.tokens, (services.deployment.resources.root, services.deployment.resources.mcp)
        key = next(iter(tokens.keys.access.values()))
        app = _Passing()
        known = _issued(tokens, names[0], 1)[0]
        passing = _through(Gate(_starlette(app), runtime, lambda _scope, _error: None), known)
        found: dict[str, list[float]] = {"known token": [], "unknown token": [], "python-jose": [], "gate": []}
        for _ in range(rounds):
            fresh = _issued(tokens, names[0], COLD)

            async def bare(number: int, fresh: list[str] = fresh) -> None:
                jws.verify(fresh[number], key.public, algorithms=[key.alg])

            async def cold(number: int, fresh: list[str] = fresh) -> None:
                await tokens.verify(fresh[number], names)

            found["python-jose"].append(await _microseconds(bare, COLD))
            found["unknown token"].append(await _microseconds(cold, COLD))
            found["known token"].append(await _microseconds(lambda _: tokens.verify(known, names), WARM))
            before = app.calls
            found["gate"].append(await _microseconds(passing, WARM))
            if app.calls != before + WARM:
                raise AssertionError("the gate did not hand every call on")
        cold_ratio = statistics.median(a / b for a, b in zip(found["unknown token"], found["python-jose"], strict=True))
        return {name: statistics.median(values) for name, values in found.items()} | {"cold ratio": cold_ratio}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(15)), indent=1))
