"""`migrate`, and a schema newer than the program, as their user sees them."""

import asyncio
import time

import pytest

from oauth_server.store import moving
from oauth_server.store.migrate import HEAD
from tests.commands.conftest import Shell
from tests.moving.conftest import MakeDatabase
from tests.moving.test_copy import at_revision, sql
from tests.support.databases import sql as run_sql
from tests.support.program import SERVER, environment, run

COMMANDS = (
    "users list",
    "users add bob --generate",
    "clients list",
    "keys list",
    "audit",
    "config",
    "check",
    "initial-access-tokens list",
    "migrate",
    "migrate --check",
    "backup backup.db",
    "restore older.db",
    "restore older.db --force",
)


async def test_an_older_schema_is_brought_up_to_date_and_both_revisions_are_named(
    engine: str, empty: MakeDatabase, shell: Shell
) -> None:
    url = empty(engine)
    at_revision(url, "0001")
    shell.env["MCP_OAUTH_DATABASE_URL"] = url
    shown = url.replace("hunter2", "***")
    due = await shell("migrate", "--check")
    said = f"{shown} has schema 0001; this program needs schema {HEAD}: run `migrate`.\n"
    assert (due.status, due.out, due.err) == (1, said, "")
    assert moving.schema_of(url) == "0001"
    assert await shell.says("migrate") == f"{shown} had schema 0001, and has schema {HEAD} now.\n"
    assert moving.schema_of(url) == HEAD
    for words in ("migrate", "migrate --check"):
        assert await shell.says(*words.split()) == f"{shown} has schema {HEAD}: nothing to do.\n"


async def test_a_database_without_a_schema_gets_the_whole_one(shell: Shell, empty: MakeDatabase, engine: str) -> None:
    url = empty(engine)
    if engine == "sqlite":
        shell.database.with_name("database-1.db").touch(mode=0o600)
    shell.env["MCP_OAUTH_DATABASE_URL"] = url
    assert "has no schema; this program" in (await shell("migrate", "--check")).out
    assert f"had no schema, and has schema {HEAD} now." in await shell.says("migrate")


async def test_a_newer_schema_is_refused_by_every_command(
    used: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shell.database.parent)
    await shell.says("backup", "older.db")
    sql(used, "UPDATE alembic_version SET version_num = '9999'")
    said = f"MCP_OAUTH_DATABASE_URL: the database has schema 9999, newer than this program knows ({HEAD}); accepted: "
    for words in COMMANDS:
        ended = await shell(*words.split(), MCP_OAUTH_DATABASE_URL=used)
        assert (ended.status, len(ended.lines)) == (2, 1), ended
        assert ended.err.startswith(said)
    with moving.snapshot(used) as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "9999"
    assert not shell.database.with_name("backup.db").exists()


async def test_a_newer_schema_is_refused_by_copy_on_either_side(
    used: str, engine: str, empty: MakeDatabase, shell: Shell
) -> None:
    newer = empty(engine)
    await shell.says("copy", used, newer)
    sql(newer, "UPDATE alembic_version SET version_num = '9999'")
    for words, named in ((("copy", newer, empty(engine)), "FROM"), (("copy", used, newer), "TO")):
        ended = await shell(*words)
        assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
        assert ended.err.startswith(f"{named}: the database has schema 9999, newer than this program knows")


async def test_a_newer_schema_is_refused_by_the_server(used: str, shell: Shell) -> None:
    sql(used, "UPDATE alembic_version SET version_num = '9999'")
    env = environment(shell.database.parent, MCP_OAUTH_DATABASE_URL=used)
    starts = ("", "--workers 2", "--transport stdio")
    for ended in await asyncio.gather(*(run(*SERVER, *words.split(), env=env) for words in starts)):
        assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
        assert "schema 9999, newer than this program knows" in ended.err


@pytest.mark.requirement("attack-44")
async def test_sealed_successors_from_before_are_cleared_but_for_those_of_this_moment(
    engine: str, empty: MakeDatabase, shell: Shell
) -> None:
    url = empty(engine)
    at_revision(url, "0007")
    run_sql(url, "INSERT INTO users VALUES ('u', 'u', 'x', '', '', '', :no, :no, 1)", no=False)
    run_sql(
        url,
        "INSERT INTO clients (client_id, name, auth_method, redirect_uris, grant_types, scope, application_type, "
        "source, metadata, created_at) VALUES ('c', 'c', 'none', '[]', '[]', '', 'native', 'registered', '{}', 1)",
    )
    run_sql(url, "INSERT INTO grants VALUES ('g', 'u', 'c', '', '', 1, 1, 9e9, NULL, NULL)")
    for name, used_at in (("old", time.time() - 400), ("new", time.time() - 10)):
        row = "INSERT INTO refresh_tokens VALUES (:hash, 'g', 1, 9e9, :used_at, :hash, :sealed)"
        run_sql(url, row, hash=name.encode(), used_at=used_at, sealed=b"sealed")
    shell.env["MCP_OAUTH_DATABASE_URL"] = url
    await shell.says("migrate")
    kept = run_sql(url, "SELECT token_hash FROM refresh_tokens WHERE sealed_successor IS NOT NULL")
    assert [bytes(hashed) for (hashed,) in kept] == [b"new"]
    assert run_sql(url, "SELECT replays, predecessor_hash FROM refresh_tokens") == [(0, None)] * 2
