"""The program as its user starts it over HTTP: one command, a short banner, an owner who can sign in."""

import asyncio
import re
import shutil
import signal
import sqlite3
from contextlib import suppress
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.support.browser import Browser, form_of
from tests.support.oauth import DEFAULT_CLIENT, Pkce
from tests.support.program import FASTMCP, ROOT, SERVER, environment, free_port, program, run

AUTHORIZE = "/oauth/authorize?client_id={}&response_type=code&redirect_uri=http://localhost:3000/callback"
AUTHORIZE += "&code_challenge={}&code_challenge_method=S256&scope=mcp:read&state=s"


def authorize_url() -> str:
    """An authorization request of the pre-registered client."""
    return AUTHORIZE.format(DEFAULT_CLIENT, Pkce.new().challenge)


async def sign_in(url: str, username: str, password: str) -> httpx2.Response:
    """What the browser is shown after the login form."""
    browser = Browser(url, username, password)
    try:
        page = await browser.http.get(authorize_url())
        assert page.status_code == 200, page.text
        return await browser.sign_in(page)
    finally:
        await browser.close()


async def test_the_first_start_names_endpoint_issuer_data_and_the_owner_whose_password_signs_in(tmp_path: Path) -> None:
    uv = shutil.which("uv")
    assert uv is not None
    port, data = free_port(), tmp_path / "data"
    env = environment(tmp_path, MCP_PORT=str(port), MCP_OAUTH_DATABASE_URL=f"sqlite:///{data}/oauth.db")
    env.pop("PYTHONWARNINGS")  # uv's own
    async with program(uv, "run", "--no-sync", "server.py", env=env) as first:
        shown = await first.said(r"^  Owner         admin, password (\S{16,}) \(shown only now; .*\)$")
        lines = [line for line in first.err.splitlines() if line]
        assert lines[:4] == [
            "MCP Docker Server with OAuth 2.1",
            f"  MCP endpoint  http://localhost:{port}/mcp",
            f"  Issuer        http://localhost:{port}",
            f"  Data          sqlite:///{data}/oauth.db",
        ]
        assert len(lines) == 5
        page = await sign_in(f"http://localhost:{port}", "admin", shown[1])
        assert {"new_password", "new_password_again"} <= set(form_of(page.text).inputs)
        ended = await first.end(signal.SIGINT)
        assert (ended.status, ended.out) == (0, "")
    assert (data.stat().st_mode & 0o777, (data / "oauth.db").stat().st_mode & 0o777) == (0o700, 0o600)
    async with program(
        *SERVER, env=environment(tmp_path, **{k: v for k, v in env.items() if k.startswith("MCP")})
    ) as second:
        await second.ready(f"http://localhost:{port}")
        ended = await second.end()
    assert ended.status == 0
    assert "Owner" not in ended.err
    assert shown[1] not in ended.err
    assert f"  MCP endpoint  http://localhost:{port}/mcp" in ended.lines


async def test_a_given_password_is_never_shown_and_signs_in_without_a_change(tmp_path: Path) -> None:
    port = free_port()
    given = {"MCP_OAUTH_ADMIN_USERNAME": "Root", "MCP_OAUTH_ADMIN_PASSWORD": "a password given to it"}
    async with program(*SERVER, "--port", str(port), env=environment(tmp_path, **given)) as started:
        await started.ready(f"http://localhost:{port}")
        page = await sign_in(f"http://localhost:{port}", "root", given["MCP_OAUTH_ADMIN_PASSWORD"])
        assert "decision" in form_of(page.text).buttons
        ended = await started.end()
    assert "Owner" not in ended.err
    assert given["MCP_OAUTH_ADMIN_PASSWORD"] not in ended.err


async def test_it_starts_from_any_folder_by_absolute_path(tmp_path: Path) -> None:
    port, elsewhere = free_port(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    env = environment(tmp_path)
    del env["MCP_OAUTH_DATABASE_URL"]  # the default: the user's data folder, wherever the program is started
    async with program(SERVER[0], str(ROOT / "server.py"), "--port", str(port), env=env, cwd=elsewhere) as started:
        await started.ready(f"http://localhost:{port}")
        ended = await started.end()
    assert ended.status == 0
    assert list(elsewhere.iterdir()) == []
    assert (tmp_path / "mcp-docker-server" / "oauth.db").is_file()


async def test_fastmcp_run_serves_on_its_own_port_and_the_issuer_follows(tmp_path: Path) -> None:
    port = free_port()
    async with program(*FASTMCP, "--transport", "http", "--port", str(port), env=environment(tmp_path)) as started:
        await started.ready(f"http://localhost:{port}")
        async with httpx2.AsyncClient(base_url=f"http://localhost:{port}") as http:
            found = (await http.get("/.well-known/oauth-authorization-server")).json()
            assert found["issuer"] == f"http://localhost:{port}"
            assert (await http.post("/mcp", json={})).status_code == 401
        ended = await started.end()
    assert ended.status == 0
    assert f"  MCP endpoint  http://localhost:{port}/mcp" in ended.lines
    assert re.search(r"^  Owner         admin, password \S+ ", ended.err, re.MULTILINE)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_the_running_request_and_ends_with_status_0(
    tmp_path: Path, signal_number: signal.Signals
) -> None:
    port, database = free_port(), tmp_path / "oauth.db"
    async with program(*SERVER, "--port", str(port), env=environment(tmp_path)) as started:
        url = f"http://127.0.0.1:{port}"
        await started.ready(url)
        # Somebody else writes: a registration has to wait, and is still waiting when the signal comes.
        other = sqlite3.connect(database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
            body = {"client_name": "Waiting", "redirect_uris": ["http://localhost/cb"]}
            request = asyncio.create_task(http.post("/oauth/register", json=body))
            await asyncio.sleep(0.3)
            assert not request.done()
            started.process.send_signal(signal_number)
            await asyncio.sleep(0.5)
            assert started.process.returncode is None
            other.execute("ROLLBACK")
            other.close()
            reply = await request
        assert reply.status_code == 201, reply.text
        ended = await started.end(None)
    assert ended.status == 0
    assert "Traceback" not in ended.err
    with sqlite3.connect(database) as kept:
        found = kept.execute("SELECT name FROM clients WHERE client_id = ?", (reply.json()["client_id"],)).fetchone()
    kept.close()
    assert found == ("Waiting",)


async def test_two_workers_serve_from_two_processes_with_one_owner(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    async with program(*SERVER, "--port", str(port), "--workers", "2", env=environment(tmp_path)) as started:
        await started.ready(url)
        shown = await started.said(r"^  Owner         admin, password (\S+) ")
        async with httpx2.AsyncClient(base_url=url) as http:
            keys = [(await http.get("/.well-known/jwks.json")).json() for _ in range(8)]
        assert all(found == keys[0] for found in keys)
        page = await sign_in(url, "admin", shown[1])
        assert "new_password" in form_of(page.text).inputs
        serving = [child for child in psutil.Process(started.process.pid).children() if "spawn" in str(child.cmdline())]
        assert len(serving) == 2
        ended = await started.end()
    assert ended.status == 0, ended.err
    assert ended.err.count("MCP endpoint") == 1
    assert ended.err.count("Owner") == 1
    assert "Traceback" not in ended.err
    with sqlite3.connect(tmp_path / "oauth.db") as database:
        assert database.execute("SELECT count(*) FROM users").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM signing_keys").fetchone() == (2,)
    database.close()


async def test_the_warnings_of_the_settings_stand_in_the_banner(tmp_path: Path) -> None:
    port = free_port()
    env = environment(tmp_path, MCP_OAUTH_CLIENT_SECRET="mcp_secret_key_change_in_production_2024")
    async with program(*SERVER, "--port", str(port), env=env) as started:
        await started.said(r"^  Warning       MCP_OAUTH_CLIENT_SECRET is the sample of the documentation")
        assert (await started.end()).status == 0


async def test_switched_off_it_says_so_and_creates_no_owner(tmp_path: Path) -> None:
    port = free_port()
    env = environment(tmp_path, ENABLE_MCP_OAUTH="false")
    async with program(*SERVER, "--port", str(port), env=env) as started:
        await started.said(r"^  OAuth         off \(ENABLE_MCP_OAUTH=false\)$")
        ended = await started.end()
    assert "Issuer" not in ended.err
    assert "Owner" not in ended.err


async def test_help_ends_with_status_0(tmp_path: Path) -> None:
    ended = await run(*SERVER, "--help", env=environment(tmp_path))
    assert ended.status == 0
    for option in ("--transport", "--host", "--port", "--workers"):
        assert option in ended.out
    assert [*tmp_path.iterdir()] == []  # noqa: ASYNC240 - a look at an empty folder


@pytest.mark.parametrize("length", [1024, 1025, 1200])
async def test_a_password_file_of_any_length_makes_no_owner_with_an_empty_password(tmp_path: Path, length: int) -> None:
    port, password = free_port(), "0123456789abcdef" * 80
    url, secret = f"http://localhost:{port}", tmp_path / "password"
    secret.write_text(password[:length] + "\n")
    env = environment(tmp_path, MCP_OAUTH_ADMIN_PASSWORD_FILE=str(secret))
    async with program(*SERVER, "--port", str(port), env=env) as started:
        with suppress(AssertionError):  # of a process that ended
            await started.ready(url)
        if started.process.returncode is None:
            async with httpx2.AsyncClient(base_url=url) as http:
                form = form_of((await http.get("/account")).text)
                answer = await http.post(
                    form.action,
                    data={**form.fields, "username": "admin", "password": "", "action": "sign_in"},
                    headers={"Origin": url, "Sec-Fetch-Site": "same-origin"},
                )
            assert answer.status_code == 400, "an empty password signed the owner in"
            assert "decision" in form_of((await sign_in(url, "admin", password[:length])).text).buttons
        assert started.process.returncode == (2 if length > 1024 else None), started.err
    if length > 1024:
        assert started.err.startswith("MCP_OAUTH_ADMIN_PASSWORD: "), started.err
        assert password[:40] not in started.err
