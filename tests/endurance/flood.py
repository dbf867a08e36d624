"""A flood of hostile requests beside valid traffic: what becomes of the valid requests' time.

`uv run --group test python -m tests.endurance.flood [--pairs 7] [--seconds 10] [--hostile 300] [--workers 1] [--rate R]` starts a
server as a process, measures how much valid traffic it serves, and then at half of that (or at R a second) the time of
valid requests without and with so many hostile ones a second, in turns. Exit status 1 when the median of the pairs says
that the flood more than doubled the 99th percentile, or when a valid request was refused. With `--elsewhere` the
hostile requests go to another server of the same machine, which tells what sharing its processors costs by itself.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import httpx2

from tests.support.browser import Browser
from tests.support.issuers import HTTPS
from tests.support.oauth import CALLBACK, OAuthClient
from tests.support.program import ROOT, SERVER, environment, free_port, program
from tests.support.proxy import TlsProxy
from tests.support.server import PASSWORD, Running

CLIENTS = 16  # so many that none meets the bound on its token requests
FAMILIES = 4  # refresh tokens in use by each, so that none is asked for twice at once


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Far:
    """A server that runs in a process of its own behind a proxy, as OAuthClient needs it."""

    def __init__(self, port: int) -> None:
        self.url = HTTPS  # only such an issuer keeps a session from one authorization request to the next
        self._port = port

    def client(self) -> httpx2.AsyncClient:
        return TlsProxy(self._port).client(self.url)


async def prepare(port: int) -> dict[str, Any]:
    """Sign in, consent, and collect what valid traffic needs."""
    far = cast("Running", Far(port))
    browser = Browser(far.url, http=far.client())
    clients = []
    for _ in range(CLIENTS):
        client = await OAuthClient.register(far, token_endpoint_auth_method="client_secret_basic")
        found = [await client.tokens(browser) for _ in range(FAMILIES)]
        await client.close()
        tokens = {"access_token": found[-1]["access_token"], "refresh_tokens": [t["refresh_token"] for t in found]}
        clients.append({"client_id": client.client_id, "client_secret": client.secret, **tokens})
    cookie = "; ".join(f"{one.name}={one.value}" for one in browser.http.cookies.jar)
    await browser.close()
    return {
        "url": far.url,
        "public_id": "mcp-docker-server-default",
        "clients": clients,
        "client_id": clients[0]["client_id"],
        "access_token": clients[0]["access_token"],
        "cookie": cookie,
        "callback": CALLBACK,
    }


async def load(port: int, state: dict[str, Any], kind: str, rate: float, seconds: float) -> dict[str, Any]:
    """Run one process of load."""
    order = {"port": port, "state": state, "kind": kind, "rate": rate, "seconds": seconds}
    command = (sys.executable, "-m", "tests.endurance.flood_traffic")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    out, _ = await process.communicate(json.dumps(order).encode())
    found: dict[str, Any] = json.loads(out)
    if kind == "valid":
        state["clients"] = found["clients"]
    return found


def percentile(took: list[float], share: float) -> float:
    return took[min(len(took) - 1, int(len(took) * share))]


def told(name: str, found: dict[str, Any]) -> float:
    """Say what became of the valid requests; the 99th percentile in milliseconds."""
    took = found["took"]
    failed = sum(number for what, number in found["said"].items() if what.startswith("failed"))
    shown = ", ".join(f"p{share * 100:g} {percentile(took, share):.1f}" for share in (0.5, 0.9, 0.99))
    say(f"  {name}: {len(took)} valid requests, {shown} ms, {failed} failed; load {os.getloadavg()[0]:.1f}")
    for what in found["said"]:
        if what.startswith("failed"):
            say(f"    {what}")
    return percentile(took, 0.99)


async def measure(wanted: argparse.Namespace, folder: Path) -> int:
    """Run, tell, and judge."""
    port = free_port()
    settings = {
        "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD,
        "MCP_OAUTH_TRUSTED_PROXIES": "127.0.0.1",
        "MCP_OAUTH_ISSUER": HTTPS,
    }
    env = environment(folder, **settings)
    env |= {"MCP_OAUTH_DATABASE_URL": wanted.database} if wanted.database else {}
    options = ("--port", str(port), "--workers", str(wanted.workers))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(program(*SERVER, *options, env=env))
        await server.ready(f"http://localhost:{port}")
        state = await prepare(port)
        attacked, state_there = port, state
        if wanted.elsewhere:
            attacked = free_port()
            (folder / "other").mkdir()
            other = program(*SERVER, "--port", str(attacked), env=environment(folder / "other", **settings))
            await (await stack.enter_async_context(other)).ready(f"http://localhost:{attacked}")
            state_there = await prepare(attacked)
        rate = wanted.rate
        if not rate:
            capacity = (await load(port, state, "valid", 0, wanted.seconds))["rate"]
            rate = capacity / 2
            say(f"capacity {capacity:.0f} valid requests a second; measured at {rate:.0f}")
        ratios, failed = [], 0
        for number in range(wanted.pairs):
            say(f"pair {number + 1}")
            quiet = told("quiet", await load(port, state, "valid", rate, wanted.seconds))
            valid, hostile = await asyncio.gather(
                load(port, state, "valid", rate, wanted.seconds),
                load(attacked, state_there, "hostile", wanted.hostile, wanted.seconds),
            )
            flood = told(f"with {len(hostile['took'])} hostile requests", valid)
            failed += sum(count for what, count in valid["said"].items() if what.startswith("failed"))
            kinds = ", ".join(f"{what}: {count}" for what, count in sorted(Counter(hostile["said"]).items()))
            say(f"    {kinds}; {hostile['unanswered']} without an answer\n  ratio {flood / quiet:.2f}")
            ratios.append(flood / quiet)
    median = statistics.median(ratios)
    say(f"median ratio {median:.2f}; {failed} valid requests failed in the floods")
    return int(median > 2 or failed > 0)


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--hostile", type=float, default=300)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--database", default="")
    parser.add_argument("--elsewhere", action="store_true")
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(parser.parse_args(), Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
