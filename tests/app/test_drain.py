"""How a server ends behind a proxy: it says so first, and answers for as long as somebody may not have heard."""

import signal
import time
from pathlib import Path

import httpx2

from tests.support.program import SERVER, environment, free_port, program
from tests.support.server import Running


async def test_a_server_that_drains_is_alive_and_not_ready(server: Running) -> None:
    async with server.client() as http:
        assert (await http.get("/readyz")).json() == {"status": "ready", "store": "ok"}
        assert (await http.get("/routez")).json() == {"status": "ok"}
        server.server.runtime.drain()
        for path in ("/readyz", "/routez"):
            reply = await http.get(path)
            assert (reply.status_code, reply.json()) == (503, {"status": "draining"})
            assert reply.headers["retry-after"] == "5"
        assert (await http.get("/healthz")).status_code == 200


async def test_behind_a_proxy_it_serves_on_for_three_seconds_and_asks_for_no_further_request(tmp_path: Path) -> None:
    port = free_port()
    env = environment(tmp_path, MCP_OAUTH_TRUSTED_PROXIES="10.0.0.1")
    async with program(*SERVER, "--port", str(port), env=env) as started:
        url = f"http://127.0.0.1:{port}"
        await started.ready(url)
        started.process.send_signal(signal.SIGTERM)
        told = began = time.monotonic()
        seen: list[tuple[int, int, str]] = []
        try:
            while True:
                async with httpx2.AsyncClient(base_url=url, timeout=10) as http:
                    ready, other = await http.get("/routez"), await http.get("/.well-known/jwks.json")
                seen.append((ready.status_code, other.status_code, other.headers.get("connection", "")))
                told = time.monotonic()
        except httpx2.TransportError:  # refused, or taken by a socket that was closed at that moment
            pass
        ended = await started.end(None)
    assert (ended.status, "Traceback" in ended.err) == (0, False)
    assert (503, 200, "close") in seen
    assert {entry for entry in seen if entry != (503, 200, "close")} <= {(200, 200, ""), (200, 200, "close")}
    assert told - began > 2


async def test_without_a_proxy_it_gives_no_notice(tmp_path: Path) -> None:
    port = free_port()
    async with program(*SERVER, "--port", str(port), env=environment(tmp_path)) as started:
        await started.ready(f"http://127.0.0.1:{port}")
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            assert (await http.get("/healthz")).status_code == 200  # and the connection stays open, idle
            ended = await started.end()
    assert ended.status == 0
