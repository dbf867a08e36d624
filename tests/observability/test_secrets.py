"""No secret is in a log, the audit log, a metric, a trace, an error, a tool's result, the database or a backup."""

import json
import sqlite3
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from secrets import token_bytes, token_urlsafe

import httpx2
import pytest

from tests.commands.conftest import Shell
from tests.support import canary_flows as flows
from tests.support.assertions import posted
from tests.support.canaries import Canaries
from tests.support.canary_flows import Site
from tests.support.collector import Collector, collector
from tests.support.oauth import OAuthClient, Pkce
from tests.support.program import SERVER, environment, free_port, program, run
from tests.support.provocations import provoke

# What a flow writes.
TABLES = ("codes", "refresh_tokens", "browser_sessions", "clients", "audit", "grants")


async def walk(site: Site, password: str, initial: str, machine: OAuthClient) -> OAuthClient:
    """Every flow, and every way to get one wrong; the client that is left, with a code it has not redeemed."""
    canaries = site.canaries
    basic, _ = await flows.registered(site, "basic", token_endpoint_auth_method="client_secret_basic")
    post, token = await flows.registered(site, "post", token_endpoint_auth_method="client_secret_post")
    keyed, _ = await flows.registered(site, "keyed", **flows.KEYED)
    async with site.browser(password) as browser:
        tokens = await flows.code_and_refresh(site, browser, basic, "basic")
        await flows.tokens_everywhere(site, basic, tokens)
        other = await flows.code_and_refresh(site, browser, post, "post")
        await flows.assertions(site, browser, keyed)
        site.tokens("machine", await machine.token(grant_type="client_credentials"))
        await flows.registrations(site, post, token, initial)
        async with site.client() as http, httpx2.AsyncClient(base_url=site.url, timeout=30) as unwatched:
            for secret in (password, tokens["access_token"]):
                await provoke(http, unwatched, tokens, secret)
            ended = {"Authorization": f"Bearer {other['access_token']}"}
            assert (await http.get("/oauth/test", headers=ended)).status_code == 401
        await flows.code(site, browser, basic, "pending")
        await flows.account(site, browser, tokens, canaries.add("new password", token_urlsafe(20)))
    for client in (post, keyed, machine):
        await client.close()
    return basic


async def fail(site: Site, database: Path, client: OAuthClient, password: str) -> None:
    """Let the database refuse every write, then every look at its tables, while secrets travel."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as other:
        for table in TABLES:
            for change in ("INSERT", "UPDATE", "DELETE"):
                other.execute(
                    f"CREATE TRIGGER broken_{table}_{change} BEFORE {change} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'no luck'); END"
                )
        statuses = await _meanwhile(site, client, password)
        assert statuses.count(500) >= 5, statuses
        for table in TABLES:
            for change in ("INSERT", "UPDATE", "DELETE"):
                other.execute(f"DROP TRIGGER broken_{table}_{change}")
        for table in TABLES:
            other.execute(f"ALTER TABLE {table} RENAME TO {table}_gone")
        statuses = await _meanwhile(site, client, password)
        assert statuses.count(503) >= 5, statuses
        for table in TABLES:
            other.execute(f"ALTER TABLE {table}_gone RENAME TO {table}")


async def _meanwhile(site: Site, client: OAuthClient, password: str) -> list[int]:
    secrets = site.canaries.secrets
    statuses = []
    async with site.browser(password) as browser:
        page = await browser.http.get("/account")
        if page.status_code == 200:
            reply = await browser.submit(page, {"username": "admin", "password": password})
            statuses.append(reply.status_code)
    replies = (
        await client.refresh(secrets["basic last refresh_token"]),
        await client.redeem(secrets["pending code"], Pkce(secrets["pending verifier"], "")),
        await client.http.post("/oauth/register", json={"redirect_uris": ["https://a.example/"], "scope": "mcp:read"}),
        await posted(client, "/oauth/revoke", token=secrets["basic last refresh_token"]),
        await posted(client, "/oauth/introspect", token=secrets["basic last access_token"]),
    )
    return statuses + [reply.status_code for reply in replies]


def stored(database: Path) -> bytes:
    """Everything on disk: the database, its write-ahead log and the rest of its family."""
    files = sorted(database.parent.glob(f"{database.name}*"))
    assert any(file.name.endswith("-wal") for file in files), files
    return b"\n".join(file.read_bytes() for file in files)


def audited(database: Path) -> str:
    """Every row of the audit log."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as found:
        return json.dumps(found.execute("SELECT * FROM audit").fetchall(), default=str)


def operators(canaries: Canaries, folder: Path, collected: Collector, metrics_port: int) -> dict[str, str]:
    """The environment of a server that tells everything it can."""
    encryption = canaries.add("encryption key", b64encode(token_bytes(32)).decode())
    return environment(
        folder,
        MCP_LOG_LEVEL="debug",
        MCP_LOG_FORMAT="json",
        MCP_METRICS_PORT=str(metrics_port),
        MCP_OAUTH_ADMIN_PASSWORD=canaries.add("password", token_urlsafe(20)),
        MCP_OAUTH_CLIENT_SECRET=canaries.add("configured secret", token_urlsafe(24)),
        MCP_OAUTH_KEY_ENCRYPTION_KEY=encryption,
        OTEL_EXPORTER_OTLP_ENDPOINT=collected.url,
        OTEL_EXPORTER_OTLP_HEADERS=f"api-key={canaries.add('collector key', token_urlsafe(20))}",
        OTEL_BSP_SCHEDULE_DELAY="200",
        OTEL_METRIC_EXPORT_INTERVAL="500",
    )


@pytest.mark.requirement("attack-73")
async def test_no_secret_is_anywhere_but_in_the_answer_that_hands_it_out(tmp_path: Path) -> None:
    canaries, database, port, metrics_port = Canaries(), tmp_path / "oauth.db", free_port(), free_port()
    site = Site(f"http://localhost:{port}", canaries)
    async with collector() as collected:
        env = operators(canaries, tmp_path, collected, metrics_port)
        async with program(*SERVER, "--port", str(port), env=env) as started:
            await started.ready(site.url)
            shell = Shell(database, {name: value for name, value in env.items() if name.startswith("MCP_OAUTH")})
            initial = json.loads(await shell.says("initial-access-tokens", "create", "--json"))["initial_access_token"]
            canaries.add("initial access token", initial)
            machine = await _machine(site, shell)
            client = await walk(site, canaries.secrets["password"], initial, machine)
            await fail(site, database, client, canaries.secrets["new password"])
            for kind in ("access_token", "refresh_token"):
                assert (await posted(client, "/oauth/revoke", token=canaries.secrets[f"basic last {kind}"])).is_success
            await client.close()
            async with httpx2.AsyncClient() as http:
                counted = (await http.get(f"http://127.0.0.1:{metrics_port}/metrics")).text
            disk = stored(database)
            said = [
                await shell.says(*words)
                for words in (("audit", "--json"), ("config",), ("clients", "list"), ("users", "list"))
            ]
            await shell.says("backup", str(tmp_path / "backup.copy"))
            ended = await started.end()
    assert ended.status == 0, ended.err
    # Each place did speak.
    assert ended.err.count("refused") > 100, ended.err
    assert ended.err.count("Traceback") >= 5
    assert "SQL parameters hidden" in ended.err
    assert 'mcp_http_requests_total{method="POST",route="/oauth/token",status="200"}' in counted
    assert any(span.name == "POST /oauth/token" for span in collected.spans)
    assert any(span.name.startswith("tools/call") for span in collected.spans)
    found = canaries.in_replies()
    for place, text in {
        "stderr": ended.err,
        "stdout": ended.out,
        "metrics": counted,
        "OpenTelemetry": collected.everything,
        "audit log": audited(database),
        "commands": "\n".join(said),
    }.items():
        found += canaries.found_in(place, text)
    kept = tuple(name for name in canaries.secrets if "challenge" in name or "nonce" in name)  # with the code
    found += canaries.found_in("database", disk, but=kept)
    found += canaries.found_in("backup", (tmp_path / "backup.copy").read_bytes(), but=kept)
    assert b"PRIVATE KEY" not in disk
    assert not found, "\n".join(found)


async def _machine(site: Site, shell: Shell) -> OAuthClient:
    """A client that the operator gives the client credentials grant to."""
    ended = await shell(
        *("clients", "add", "--grant-type", "client_credentials", "--auth-method", "client_secret_basic", "--json")
    )
    made = json.loads(ended.out)
    secret = site.canaries.add("machine's secret", made["client_secret"])
    return OAuthClient(site, made["client_id"], secret=secret, method="client_secret_basic")  # type: ignore[arg-type]


async def test_a_password_in_the_database_url_is_told_to_nobody(tmp_path: Path) -> None:
    canaries = Canaries()
    password = canaries.add("database password", token_urlsafe(20))
    for url in (
        f"postgresql://me:{password}@127.0.0.1:{free_port()}/db",
        f"postgresql://me:{password}@/db?host=/nowhere&password={password}",
        f"postgres://me:{password}@127.0.0.1:{free_port()}/db?unknown={password}",
        f"mysql://me:{password}@127.0.0.1/db",
    ):
        env = environment(tmp_path, MCP_OAUTH_DATABASE_URL=url, MCP_LOG_LEVEL="debug")
        ended = await run(*SERVER, "--port", str(free_port()), env=env)
        assert ended.status == 2, ended
        assert len(ended.lines) == 1, ended.err
        assert canaries.found_in(f"the start with {url}", ended.err + ended.out) == []
