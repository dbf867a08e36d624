"""`check`: the audit of a server by its answers, with an exit status for scripts."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import Shell
from tests.support.mcp_http import token_for
from tests.support.program import Ended, free_port
from tests.support.server import Running

NEWEST = "2026-07-28"


@pytest.fixture
async def elsewhere() -> AsyncIterator[str]:
    """A server that knows nothing of OAuth: every path is 404."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as found:
        yield f"http://127.0.0.1:{found.sockets[0].getsockname()[1]}/mcp"


def report(ended: Ended) -> dict[str, Any]:
    """The report as a program reads it."""
    found: dict[str, Any] = json.loads(ended.out)
    return found


async def test_this_server_is_checked_when_none_is_named_and_passes(server: Running, shell: Shell) -> None:
    ended = await shell("check", "--json")
    found = report(ended)
    assert (ended.status, ended.err) == (0, "")
    assert (found["target"], found["spec_version"], found["depth"]) == (f"{server.url}/mcp", NEWEST, "passive")
    assert found["summary"]["fail"] == found["summary"]["error"] == 0
    assert found["summary"]["pass"] > 50
    text = await shell.says("check", "--spec", "2025-11-25", f"{server.url}/mcp")
    assert text.splitlines()[1].startswith("MCP 2025-11-25, passive: ")


async def test_an_active_check_takes_its_token_from_the_environment_or_a_file_and_never_shows_it(
    server: Running, shell: Shell, tmp_path: Path
) -> None:
    token = await token_for(server, "mcp:read")
    (tmp_path / "token").write_text(f"{token}\n")
    without = await shell("check", "--depth", "active", "--json")
    by_env = await shell("check", "--depth", "active", "--json", MCP_ACCESS_TOKEN=token)
    by_file = await shell("check", "--depth", "active", "--json", "--access-token-file", str(tmp_path / "token"))
    assert report(without)["summary"]["skip"] > report(by_env)["summary"]["skip"]
    assert report(by_env)["summary"] == report(by_file)["summary"]
    assert [ended.status for ended in (without, by_env, by_file)] == [0, 0, 0]
    assert token.partition(".")[2] not in by_env.out + by_file.out


async def test_a_server_that_fails_is_status_1_and_each_failure_has_its_fix(shell: Shell, elsewhere: str) -> None:
    ended = await shell("check", elsewhere)
    assert (ended.status, ended.err) == (1, "")
    assert ended.out.splitlines()[0] == elsewhere
    assert ended.out.count("\nFAIL ") > 0
    assert ended.out.count("      Fix: ") >= ended.out.count("\nFAIL ")
    assert (await shell("check", elsewhere, "--json")).status == 1


async def test_what_cannot_be_reached_is_told_in_one_line_with_status_2(shell: Shell, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/mcp"
    closed = await shell("check", nowhere)
    assert (closed.status, closed.out) == (2, "")
    assert closed.err == f"{nowhere} cannot be reached: the request failed: All connection attempts failed.\n"
    (tmp_path / "empty").touch()
    for words in (("nonsense",), ("ftp://a.example/mcp",), ("https://me:x@a.example/mcp",), ("--spec", "2024-11-05")):
        ended = await shell("check", *words)
        assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
    for path in ("missing", "empty", "."):
        ended = await shell("check", nowhere, "--access-token-file", str(tmp_path / path))
        assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
        assert ended.err.startswith("--access-token-file: ")


async def test_this_server_must_run_to_be_checked(shell: Shell, tmp_path: Path) -> None:
    # The template recorded port 8000, where nobody may listen: the port of the settings is not asked instead.
    port = free_port()
    ended = await shell("check", MCP_OAUTH_ISSUER=f"http://localhost:{port}")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"http://localhost:{port}/mcp cannot be reached: ")
    assert ended.err.endswith(" Start the server, or give the URL of another one.\n")
    ended = await shell("check", MCP_OAUTH_DATABASE_URL=f"sqlite:///{tmp_path}/none.db")
    assert (ended.status, ended.out) == (2, "")
    assert f"there is no database at sqlite:///{tmp_path}/none.db" in ended.err
