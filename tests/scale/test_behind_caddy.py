"""The topology of compose.scale.yml as processes: PostgreSQL, two replicas, and Caddy with its own Caddyfile before them."""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

from tests.commands.conftest import Shell
from tests.support.browser import Browser, form_of
from tests.support.journey import journey, person
from tests.support.mcp_http import MODES
from tests.support.oauth import OAuthClient, Pkce
from tests.support.postgres import Postgres
from tests.support.program import ROOT
from tests.support.replicas import SENDS_BODIES_AGAIN, caddy_version
from tests.support.site import APART, LOOKS, Site, site_on
from tests.support.traffic import Traffic

pytestmark = pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed")


@pytest.fixture(scope="module")
async def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    with postgres.database() as database:
        async with site_on(database, tmp_path_factory.mktemp("site")) as found:
            yield found


@pytest.fixture
def operator(site: Site, tmp_path: Path) -> Shell:
    """Commands on the database of the replicas."""
    return Shell(tmp_path, {"MCP_OAUTH_DATABASE_URL": site.replicas.database})


async def test_a_whole_journey_over_tls_with_the_cookies_of_an_https_issuer(site: Site) -> None:
    await journey(site)
    async with site.client() as http:
        reply = await http.get("/.well-known/oauth-authorization-server")
        assert reply.json()["issuer"] == site.url
        assert reply.json()["token_endpoint"] == f"{site.url}/oauth/token"
        assert reply.headers["strict-transport-security"] == "max-age=31536000"
    browser, client = person(site), OAuthClient(site)  # type: ignore[arg-type]
    await client.code(browser, Pkce.new())
    assert {cookie.name.partition("-")[0] for cookie in browser.http.cookies.jar} == {"__Host"}
    assert all(cookie.secure for cookie in browser.http.cookies.jar)
    await browser.http.aclose()
    await client.http.aclose()


@pytest.mark.parametrize("mode", MODES)
async def test_an_mcp_client_of_either_era_calls_a_tool(site: Site, mode: str) -> None:
    browser, client = person(site), OAuthClient(site)  # type: ignore[arg-type]
    token = (await client.tokens(browser))["access_token"]
    transport = StreamableHttpTransport(f"{site.url}/mcp", auth=token, verify=site.tls)
    async with Client(transport, mode=mode) as mcp:
        for _ in range(4):
            found = await mcp.call_tool("mcp_oauth_protected_resource_metadata")
            assert found.structured_content["resource"] == f"{site.url}/mcp"
    await browser.http.aclose()
    await client.http.aclose()


async def _fails_to_sign_in(http: httpx2.AsyncClient, site: Site, name: str) -> None:
    """Send a wrong password, and a header that claims another address."""
    browser = Browser(site.url, name, "a wrong password", http)
    http.headers |= {"X-Forwarded-For": "203.0.113.66", "X-Real-IP": "203.0.113.66", "Forwarded": "for=203.0.113.66"}
    page = await http.get(OAuthClient(site).url(Pkce.new()))  # type: ignore[arg-type]
    fields = {"username": name, "password": "a wrong password"}
    assert "password" in form_of((await browser.submit(page, fields)).text).inputs


async def test_the_address_is_the_one_the_proxy_saw_and_nobody_elses_word_counts(site: Site, operator: Shell) -> None:
    async with site.client("127.0.0.3") as http:
        await _fails_to_sign_in(http, site, "by-the-proxy")
    # Beside the proxy, from an address that is not the trusted one.
    transport = httpx2.AsyncHTTPTransport(local_address="127.0.0.4")
    beside = f"http://127.0.0.1:{site.replicas.ports[0]}"
    async with httpx2.AsyncClient(base_url=beside, transport=transport) as http:
        page = await http.get("/healthz")
        assert page.status_code == 200
        spoofed = {"X-Forwarded-For": "203.0.113.66", "X-Forwarded-Proto": "https"}
        body = {"client_name": "Beside", "redirect_uris": ["http://localhost/beside"]}
        assert (await http.post("/oauth/register", json=body, headers=spoofed)).status_code == 201
    rows = [json.loads(line) for line in (await operator.says("audit", "--json")).splitlines()]
    addresses = {row["address"] for row in rows}
    assert {"127.0.0.3", "127.0.0.4"} <= addresses
    assert "203.0.113.66" not in addresses


@pytest.mark.parametrize("given", [["chosen-by-the-visitor"], ["chosen-by-the-visitor", "chosen-as-well"]])
async def test_the_id_of_a_request_is_the_proxy_s_and_no_visitor_s(site: Site, given: list[str]) -> None:
    async with site.client() as http:
        replies = [await http.get("/oauth/nowhere", headers=[("X-Request-Id", one) for one in given]) for _ in range(2)]
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert len(set(ids)) == 2
    assert all(UUID(about).version == 4 for about in ids), ids


async def test_a_rolling_restart_fails_no_request(site: Site) -> None:
    pair = site.replicas
    async with Traffic(site) as traffic:
        for number in (0, 1):
            before = traffic.answered
            ended = await pair.programs[number].end()
            assert (ended.status, "Traceback" in ended.err) == (0, False)
            await pair.start(number)  # until it is ready, which is what the seconds count from
            await asyncio.sleep(LOOKS)
            assert traffic.answered > before
    assert traffic.failed == []
    assert traffic.kinds() == {"POST /oauth/register", "POST /oauth/token", "POST /mcp", "GET /oauth/test"}


def test_the_seconds_between_two_restarts_count_from_when_a_replica_is_ready() -> None:
    assert LOOKS < APART  # what is tried here leaves a margin
    words = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"the next one {APART:.0f} seconds after the one before is ready (200 at its `/readyz`)" in words


async def test_what_comes_after_a_replica_was_killed_is_answered_by_the_other(site: Site) -> None:
    pair = site.replicas
    pair.programs[0].process.send_signal(signal.SIGKILL)
    await pair.programs[0].process.wait()
    if caddy_version() < SENDS_BODIES_AGAIN:
        await asyncio.sleep(LOOKS)
    async with Traffic(site) as traffic:
        while traffic.answered < 40:  # noqa: ASYNC110 - other tasks count
            await asyncio.sleep(0.05)
    assert traffic.failed == []
    await pair.start(0)
