"""How commands end, as their user sees it: exit statuses, one line for a mistake, terminals, pipes, --help."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio.to_thread
import pytest

from tests.commands.conftest import Shell
from tests.support.databases import sql
from tests.support.program import ROOT, SERVER, environment, run
from tests.support.terminal import terminal

PASSWORD = "a password of bob's own"
ON_THE_STORE = (
    "users add bob --generate",
    "users list",
    "users disable admin --yes",
    "users enable admin",
    "users set-password admin --generate",
    "users set-scope admin mcp:read",
    "clients list",
    "clients show a",
    "clients add --redirect-uri https://a.example/cb",
    "clients delete a --yes",
    "keys list",
    "audit",
    "check",
)
ALL = (
    "",
    "serve",
    "check",
    "config",
    "users",
    "clients",
    "keys",
    "audit",
    "migrate",
    "copy",
    "backup",
    "restore",
    *ON_THE_STORE,
)
HELP = """
import json, sys
import server
shown = {}
for words in json.loads(sys.argv[1]):
    sys.argv = ["server.py", *words.split(), "--help"]
    print("\\x1e", end="")
    try:
        server.main()
    except SystemExit as end:
        assert end.code == 0
print("\\x1e" + json.dumps([n for n in ("fastmcp", "mcp", "sqlalchemy", "pydantic", "asyncio") if n in sys.modules]))
"""


async def usernames(shell: Shell) -> list[str]:
    return [json.loads(line)["username"] for line in (await shell.says("users", "list", "--json")).splitlines()]


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        ("users enable nobody", 1, "nobody"),
        ("--prot 3", 2, "--prot"),
        ("user list", 2, "Unknown command or argument: user."),
        ("serve now", 2, "Unknown command or argument: now."),
        ("users lst", 2, "lst"),
        ("users disable", 2, "USERNAME"),
        ("audit --limit many", 2, "--limit"),
        ("check --depth deep", 2, "--depth"),
    ],
)
async def test_a_mistake_ends_a_command_with_one_line_on_stderr(
    shell: Shell, words: str, status: int, named: str
) -> None:
    ended = await shell(*words.split())
    assert (ended.status, ended.out, len(ended.lines)) == (status, "", 1), ended
    assert named in ended.err
    assert (" (see --help)" in ended.err) == (status == 2)


async def test_the_status_is_that_of_the_process(env: dict[str, str]) -> None:
    ended = await run(*SERVER, "users", "enable", "nobody", env=env)
    assert (ended.status, ended.out, len(ended.lines)) == (1, "", 1), ended
    ended = await run(*SERVER, "users", "lst", env=env)
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended


@pytest.mark.parametrize("words", [*ON_THE_STORE, "migrate", "migrate --check", "backup backup.db"])
async def test_a_missing_or_unreachable_database_is_told_in_one_line_and_none_is_made(
    shell: Shell, tmp_path: Path, words: str
) -> None:
    missing = f"sqlite:///{tmp_path}/none/oauth.db"
    ended = await shell(*words.split(), MCP_OAUTH_DATABASE_URL=missing)
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
    assert ended.err.startswith(f"MCP_OAUTH_DATABASE_URL: there is no database at {missing}; accepted: ")
    assert not (tmp_path / "none").exists()
    ended = await shell(*words.split(), MCP_OAUTH_DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/db")
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
    assert ended.err.startswith("MCP_OAUTH_DATABASE_URL: the database cannot be reached or used: ")
    assert "hunter2" not in ended.err


@pytest.mark.sqlite("PostgreSQL reports a missing table as an error of the statement: told with a traceback so far")
async def test_a_database_that_fails_half_way_is_told_in_one_line(shell: Shell) -> None:
    sql(shell.location, "DROP TABLE audit")
    for words in ("audit", "users add bob --generate"):
        ended = await shell(*words.split())
        assert (ended.status, ended.out, ended.err) == (1, "", "The database does not answer: no such table: audit\n")
    assert await usernames(shell) == ["admin"]  # a change without its event is none


async def test_an_empty_database_is_named_and_gets_no_first_user(shell: Shell) -> None:
    for table in ("users", "clients", "signing_keys", "meta"):
        sql(shell.location, f"DELETE FROM {table}")  # noqa: S608 - from the line above
    for words in ("clients list", "keys list", "audit --event logout"):  # the log itself lets nobody empty it
        ended = await shell(*words.split())
        assert (ended.status, ended.out, len(ended.lines)) == (0, "", 1)
        assert shell.shown in ended.err
    ended = await shell("check")
    said = f"No server has served HTTP with {shell.shown} yet: start it, or give a URL.\n"
    assert (ended.status, ended.out, ended.err) == (1, "", said)
    ended = await shell("users", "list")
    said = f"No users in {shell.shown}; the first start of the server creates the owner.\n"
    assert (ended.status, ended.out, ended.err) == (0, "", said)
    ended = await shell("users", "add", "bob", "--generate")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"No users in {shell.shown}: start the server once, it creates the owner.\n"


async def test_a_reader_that_closes_the_pipe_ends_a_command_quietly(env: dict[str, str]) -> None:
    def piped() -> tuple[int, bytes]:
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "wb") as out:  # noqa: PTH123 - a descriptor
            ended = subprocess.run(
                [*SERVER, "users", "list"], stdout=out, stderr=subprocess.PIPE, cwd=ROOT, env=env, check=False
            )
        return ended.returncode, ended.stderr

    assert await anyio.to_thread.run_sync(piped) == (141, b"")


async def test_an_output_that_cannot_spell_a_name_shows_its_code(shell: Shell, env: dict[str, str]) -> None:
    await shell.says("users", "add", "bob", "--generate", "--name", "名")
    ended = await run(*SERVER, "users", "list", env={**env, "PYTHONIOENCODING": "ascii"})
    assert (ended.status, ended.err) == (0, "")
    assert "\\u540d" in ended.out


async def test_help_of_everything_shows_examples_and_imports_nothing_heavy(tmp_path: Path) -> None:
    commands = list(dict.fromkeys(" ".join(words.split()[:2]) for words in ALL))
    ended = await run(sys.executable, "-c", HELP, json.dumps(commands), env=environment(tmp_path, PYTHONPATH=str(ROOT)))
    assert (ended.status, ended.err) == (0, "")
    *parts, imported = ended.out.split("\x1e")[1:]
    assert json.loads(imported) == []
    shown = dict(zip(commands, parts, strict=True))
    for words, text in shown.items():
        assert f"Usage: server.py {words}".rstrip() in text
        assert "Example" in text or words in {"", "users", "clients", "keys"}, text
        if "Example" in text:
            assert f"server.py {words}" in text.partition("Example")[2], text
    assert "Exit status: 0 done; 1 not done" in shown[""]
    assert [*tmp_path.iterdir()] == []  # noqa: ASYNC240 - a look at an empty folder


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1), ("", 1)])
async def test_on_a_terminal_what_cannot_be_undone_is_asked_for(
    shell: Shell, env: dict[str, str], answer: str, status: int
) -> None:
    def session() -> tuple[int, str]:
        with terminal(env, "users", "disable", "admin") as screen:
            screen.expect("Disable admin, and end 0 browser sessions and 0 grants for good? [y/N] ")
            screen.type(f"{answer}\n")
            return screen.status(), screen.seen

    found, seen = await anyio.to_thread.run_sync(session)
    assert found == status, seen
    assert ("admin is disabled." in seen) == (status == 0)
    assert ("Nothing was changed." in seen) == (status == 1)
    assert ('"disabled": true' in await shell.says("users", "list", "--json")) == (status == 0)


async def test_on_a_terminal_a_password_is_asked_for_twice_without_echo(shell: Shell, env: dict[str, str]) -> None:
    def session(again: str) -> tuple[int, str]:
        with terminal(env, "users", "add", "bob") as screen:
            screen.expect("New password for bob: ")
            screen.type(f"{PASSWORD}\n")
            screen.expect("The same again: ")
            screen.type(f"{again}\n")
            return screen.status(), screen.seen

    status, seen = await anyio.to_thread.run_sync(session, "another one")
    assert (status, "The two passwords differ." in seen) == (2, True), seen
    assert await usernames(shell) == ["admin"]
    status, seen = await anyio.to_thread.run_sync(session, PASSWORD)
    assert (status, "Added bob" in seen) == (0, True), seen
    assert PASSWORD not in seen
    assert await usernames(shell) == ["admin", "bob"]


@pytest.mark.parametrize("words", [("users", "disable", "admin"), ("users", "set-password", "admin")])
async def test_ctrl_c_at_a_question_ends_the_command_at_once(
    shell: Shell, env: dict[str, str], words: tuple[str, ...]
) -> None:
    before = await shell.says("users", "list", "--json")

    def session() -> tuple[int, str]:
        with terminal(env, *words) as screen:
            screen.expect("? [y/N] " if "disable" in words else "New password for admin: ")
            screen.type("\x03")
            return screen.status(), screen.seen

    status, seen = await anyio.to_thread.run_sync(session)
    assert status == 130, seen
    assert "Interrupted." in seen
    assert "Traceback" not in seen
    assert await shell.says("users", "list", "--json") == before
