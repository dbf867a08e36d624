"""Prometheus metrics on a port of their own: counted by route and outcome, added up over workers."""

import asyncio
import os
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import anyio
import httpx2
import psutil

from tests.support.browser import Browser
from tests.support.oauth import OAuthClient
from tests.support.program import SERVER, environment, free_port, program, run

PASSWORD = "a password of the owner"


class _Site:
    def __init__(self, url: str) -> None:
        self.url = url

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, timeout=30)


async def scraped(port: int) -> dict[str, float]:
    """Every series and its value."""
    async with httpx2.AsyncClient(timeout=30) as http:
        reply = await http.get(f"http://127.0.0.1:{port}/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    lines = [line for line in reply.text.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


async def test_a_flow_is_counted_by_route_grant_event_and_refusal(tmp_path: Path) -> None:
    port, own = free_port(), free_port()
    url = f"http://localhost:{port}"
    env = environment(tmp_path, MCP_METRICS_PORT=str(own), MCP_OAUTH_ADMIN_PASSWORD=PASSWORD)
    async with program(*SERVER, "--port", str(port), env=env) as started:
        await started.said(rf"^  Metrics       http://127\.0\.0\.1:{own}/metrics$")
        client = await OAuthClient.register(_Site(url))  # type: ignore[arg-type]
        browser = Browser(url, "admin", PASSWORD)
        tokens = await client.tokens(browser)
        assert (await client.refresh(tokens["refresh_token"])).status_code == 200
        assert (await client.refresh("nonsense")).status_code == 400
        assert (await client.http.get("/no/where/at-all")).status_code == 404
        assert (await client.http.request("PROPFIND", "/oauth/token")).status_code == 405
        assert (await client.http.get(f"/oauth/register/{client.client_id}")).status_code == 401
        for _ in range(100):  # the keys are looked at each second
            found = await scraped(own)
            if 'mcp_signing_key_timestamp_seconds{use="access"}' in found:
                break
            await asyncio.sleep(0.1)
        await client.close()
        await browser.close()
        assert (await started.end()).status == 0
    expected = {
        'mcp_http_requests_total{method="POST",route="/oauth/token",status="200"}': 2,
        'mcp_http_requests_total{method="POST",route="/oauth/token",status="400"}': 1,
        'mcp_http_requests_total{method="OTHER",route="/oauth/token",status="405"}': 1,
        'mcp_http_requests_total{method="GET",route="none",status="404"}': 1,
        'mcp_http_requests_total{method="GET",route="/oauth/register/{client_id}",status="401"}': 1,
        'mcp_http_request_seconds_count{route="/oauth/token"}': 4,
        'mcp_refusals_total{error="invalid_grant",route="/oauth/token"}': 1,
        'mcp_refusals_total{error="not_found",route="none"}': 1,
        'mcp_oauth_tokens_total{grant_type="authorization_code"}': 1,
        'mcp_oauth_tokens_total{grant_type="refresh_token"}': 1,
        'mcp_audit_events_total{event="login",outcome="success"}': 1,
        'mcp_audit_events_total{event="client.registered",outcome="success"}': 1,
        "mcp_store_queue_writes": 0,
    }
    assert {series: found.get(series) for series in expected} == expected
    assert found['mcp_store_transaction_seconds_count{kind="write"}'] == found["mcp_store_batch_writes_count"]
    assert found['mcp_store_verbs_total{kind="write"}'] >= found["mcp_store_batch_writes_count"] > 5
    assert abs(found["mcp_revocation_refreshed_timestamp_seconds"] - time.time()) < 60
    assert abs(found['mcp_signing_key_timestamp_seconds{use="access"}'] - time.time()) < 120
    assert found["process_resident_memory_bytes"] > 1e7
    # Nothing that a caller chose is a label.
    assert not [series for series in found if client.client_id in series or "nonsense" in series or "where" in series]


async def test_the_port_of_several_workers_adds_them_up_and_outlives_one_that_died(tmp_path: Path) -> None:
    port, own = free_port(), free_port()
    url = f"http://localhost:{port}"
    env = environment(tmp_path, MCP_METRICS_PORT=str(own), TMPDIR=str(tmp_path))
    async with program(*SERVER, "--port", str(port), "--workers", "2", env=env) as started:
        await started.ready(url)
        assert len([*tmp_path.glob("mcp-metrics-*")]) == 1  # noqa: ASYNC240 - a look at a folder
        await _asked(url, 40)
        found = await _until(own, "/.well-known/jwks.json", 40)
        assert found['mcp_store_verbs_total{kind="read"}'] > 0
        workers = [c for c in psutil.Process(started.process.pid).children() if "spawn" in str(c.cmdline())]
        assert len(workers) == 2
        folder = next(tmp_path.glob("mcp-metrics-*"))  # noqa: ASYNC240
        with anyio.fail_after(20):  # the second may still be starting
            while not all((folder / f"counter_{one.pid}.db").exists() for one in workers):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert len([*folder.glob("counter_*.db")]) == len(workers)
        os.kill(workers[0].pid, signal.SIGKILL)
        await started.said(f"worker {workers[0].pid} ended")
        await _asked(url, 10)
        await _until(own, "/.well-known/jwks.json", 50)
        assert not [*folder.glob(f"gauge_live*_{workers[0].pid}.db")]
        ended = await started.end()
    assert ended.status == 0, ended.err
    assert [*tmp_path.glob("mcp-metrics-*")] == []  # noqa: ASYNC240


async def _asked(url: str, times: int) -> None:
    close = {"Connection": "close"}  # each on a connection of its own, so that both workers have some
    async with httpx2.AsyncClient(headers=close, timeout=10) as http:
        for _ in range(times):
            assert (await http.get(f"{url}/.well-known/jwks.json")).status_code == 200


async def _until(port: int, route: str, count: float) -> dict[str, float]:
    series = f'mcp_http_requests_total{{method="GET",route="{route}",status="200"}}'
    for _ in range(100):
        found = await scraped(port)
        if found.get(series) == count:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError((series, found.get(series), count))


async def test_a_port_that_is_taken_stops_the_start_with_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        own = taken.getsockname()[1]
        for workers in ("1", "2"):
            env = environment(tmp_path, MCP_METRICS_PORT=str(own), MCP_WORKERS=workers)
            ended = await run(*SERVER, "--port", str(free_port()), env=env)
            assert (ended.status, len(ended.lines)) == (2, 1), ended.err
            assert ended.err.startswith(f"MCP_METRICS_PORT: 127.0.0.1:{own} cannot be bound (")


async def test_without_a_port_nothing_is_imported_or_counted(tmp_path: Path) -> None:
    script = (
        "import sys; from oauth_server.app import serve, worker, mcp_server, telemetry; from oauth_server import metrics;"
        "metrics.REQUESTS.add('/', 'GET', '200'); assert metrics.REQUESTS.samples and not [*metrics.REQUESTS.samples()];"
        "print([m for m in sys.modules if m.startswith(('prometheus_client', 'opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    ended = await run(SERVER[0], "-c", script, env=environment(tmp_path))
    assert (ended.status, ended.out) == (0, "[]\n"), ended.err


async def test_the_unavailable_store_is_counted(tmp_path: Path) -> None:
    port, own = free_port(), free_port()
    url = f"http://localhost:{port}"
    async with program(*SERVER, "--port", str(port), env=environment(tmp_path, MCP_METRICS_PORT=str(own))) as started:
        await started.ready(url)
        with closing(sqlite3.connect(tmp_path / "oauth.db", isolation_level=None)) as other:
            other.execute("ALTER TABLE audit RENAME TO lost")
            async with httpx2.AsyncClient(base_url=url) as http:
                body = {"redirect_uris": ["http://localhost/"]}
                assert (await http.post("/oauth/register", json=body)).status_code == 503  # looked up, and not written
                other.execute("ALTER TABLE clients RENAME TO gone")
                form = {"grant_type": "authorization_code", "client_id": "x", "code": "c", "code_verifier": "v" * 43}
                assert (await http.post("/oauth/token", data=form)).status_code == 503
            found = await scraped(own)
            other.execute("ALTER TABLE gone RENAME TO clients")
            other.execute("ALTER TABLE lost RENAME TO audit")
        await started.end()
    assert found['mcp_store_unavailable_total{kind="read"}'] >= 1
    assert found['mcp_store_unavailable_total{kind="write"}'] >= 1
    assert found['mcp_http_requests_total{method="POST",route="/oauth/token",status="503"}'] == 1
