"""`backup` and `restore`: a file beside a running server, and the way back without the rights in it."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import anyio
import pytest

from oauth_server.store import moving
from oauth_server.store.migrate import HEAD
from tests.commands.conftest import Shell
from tests.commands.test_beside_a_server import alive, can_sign_in, is_signed_in, refusal
from tests.moving.conftest import MakeDatabase, Serve
from tests.moving.test_copy import at_revision, contents, sql
from tests.support.authorize import registered
from tests.support.browser import Browser
from tests.support.server import PASSWORD


@pytest.fixture
def file(shell: Shell, used: str) -> Path:
    """Where a backup goes; the commands work on the database in use."""
    shell.env["MCP_OAUTH_DATABASE_URL"] = used
    return shell.database.with_name("backup.db")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as found:
        yield found


def mode(file: Path) -> int:
    """Who may do what with a file."""
    return file.stat().st_mode & 0o777


async def test_a_backup_beside_a_running_server_is_whole_and_private(
    used: str, file: Path, shell: Shell, serve: Serve
) -> None:
    async with serve(used) as server, server.client() as http:
        said = await shell.says("backup", str(file))
        assert (await http.get("/readyz")).status_code == 200
    held = contents(f"sqlite:///{file}")
    assert held["users"] == contents(used)["users"]
    assert held["signing_keys"].rows == 2
    assert f"Wrote and verified {sum(found.rows for found in held.values())} rows of " in said
    assert "hunter2" not in said
    assert mode(file) == 0o600
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert not [*file.parent.glob("backup.db?*"), *file.parent.glob(".backup*")]


async def test_a_backup_replaces_no_file_unless_told_to(used: str, file: Path, shell: Shell) -> None:
    await anyio.Path(file).write_text("something else")
    ended = await shell("backup", str(file))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"Nothing was changed: {file} is there already: choose another name, or say --force.\n"
    assert await anyio.Path(file).read_text() == "something else"
    await shell.says("backup", str(file), "--force")
    assert contents(f"sqlite:///{file}") == contents(used)
    assert mode(file) == 0o600


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
async def test_a_backup_never_replaces_the_database_itself(shell: Shell, suffix: str) -> None:
    before = contents(shell.location)
    ended = await shell("backup", f"{shell.location.removeprefix('sqlite:///')}{suffix}", "--force")
    assert (ended.status, ended.out, len(ended.lines)) == (1, "", 1), ended
    assert "is the database itself" in ended.err
    assert contents(shell.location) == before


async def test_a_backup_that_cannot_be_written_is_told_in_one_line(file: Path, shell: Shell) -> None:
    for path in (file.parent / "none" / "backup.db", file.parent):
        ended = await shell("backup", str(path), "--force")
        assert (ended.status, ended.out, len(ended.lines)) == (1, "", 1), ended
        assert f"{path} cannot be written (" in ended.err
    assert not [*file.parent.glob(".backup*")]


@pytest.mark.requirement("attack-64")
async def test_restoring_brings_people_back_and_no_right_whether_older_or_newer_than_the_backup(
    used: str, other_engine: str, empty: MakeDatabase, file: Path, shell: Shell, serve: Serve, stack: AsyncExitStack
) -> None:
    async with serve(used) as server:
        browser = Browser(server.url)
        stack.push_async_callback(browser.close)
        account = await browser.account()
        client = await registered(stack, server)
        revoked = await client.tokens(browser)
        kept = await client.tokens(browser)
        await shell.says("backup", str(file))
        newer_client = await registered(stack, server, client_name="Another")
        newer = await newer_client.tokens(browser)
        await client.http.post("/oauth/revoke", data={"token": revoked["refresh_token"], "client_id": client.client_id})
    target = empty(other_engine)
    restored = await shell("restore", str(file), MCP_OAUTH_DATABASE_URL=target)
    assert restored.status == 0, restored
    assert "Ended 1 browser session and 2 grants, with all tokens.\n" in restored.out
    assert len(restored.lines) == 1
    assert "those of the backup" in restored.err
    assert "hunter2" not in restored.out
    async with serve(target) as server, server.client() as http:
        for tokens in (revoked, kept, newer):
            assert not await alive(http, tokens["access_token"])
        for tokens in (revoked, kept):
            assert await refusal(client, tokens["refresh_token"]) == "invalid_grant"
        assert await refusal(newer_client, newer["refresh_token"]) == "invalid_client"
        assert not await is_signed_in(browser, account)
        assert await can_sign_in(browser, client)
        server.clock.advance(60)
        assert await alive(http, (await client.tokens(browser))["access_token"])
    said = await shell.says("audit", "--event", "database.restored", MCP_OAUTH_DATABASE_URL=target)
    assert "from backup.db; browser sessions ended: 1, grants revoked: 2" in said


async def test_a_backup_keeps_every_right_where_it_is_copied(
    used: str, file: Path, empty: MakeDatabase, engine: str, shell: Shell, serve: Serve, stack: AsyncExitStack
) -> None:
    async with serve(used) as server:
        browser = Browser(server.url)
        stack.push_async_callback(browser.close)
        client = await registered(stack, server)
        tokens = await client.tokens(browser)
        await shell.says("backup", str(file))
    target = empty(engine)
    await shell.says("copy", f"sqlite:///{file}", target)
    async with serve(target) as server, server.client() as http:
        assert await alive(http, tokens["access_token"])
        assert (await client.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_database_with_anything_in_it_is_replaced_only_when_told_to(
    used: str, file: Path, shell: Shell
) -> None:
    await shell.says("backup", str(file))
    await shell.says("users", "add", "late", stdin=PASSWORD)
    before = contents(used)
    ended = await shell("restore", str(file))
    shown = used.replace("hunter2", "***")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"{shown} is not empty: --force replaces all that it holds.\n"
    assert contents(used) == before
    assert (await shell("restore", str(file), "--force")).status == 0
    assert contents(used)["users"] == contents(f"sqlite:///{file}")["users"]


async def test_the_epoch_never_goes_back(used: str, file: Path, shell: Shell) -> None:
    await shell.says("backup", str(file))
    sql(used, "UPDATE epoch SET value = 1000")
    assert (await shell("restore", str(file), "--force")).status == 0
    with moving.snapshot(used) as connection:
        assert connection.exec_driver_sql("SELECT value FROM epoch").scalar() == 1001


async def test_initial_access_tokens_and_remembered_consents_end(used: str, file: Path, shell: Shell) -> None:
    sql(
        used,
        "INSERT INTO consents SELECT user_id, 'mcp-docker-server-default', 'https://a.example/cb', '', '', 1, NULL "
        "FROM users",
    )
    await shell("initial-access-tokens", "create", "--uses", "2")
    assert contents(used)["initial_access_tokens"].rows == 1
    await shell.says("backup", str(file))
    assert (await shell("restore", str(file), "--force")).status == 0
    after = contents(used)
    assert (after["consents"].rows, after["initial_access_tokens"].rows) == (0, 0)


async def test_a_database_that_a_running_server_has_open_is_left_alone(
    used: str, file: Path, shell: Shell, serve: Serve
) -> None:
    await shell.says("backup", str(file))
    async with serve(used) as server, server.client() as http:
        before = contents(used)
        ended = await shell("restore", str(file), "--force")
        assert (ended.status, ended.out, len(ended.lines)) == (1, "", 1), ended
        assert "stop it first" in ended.err
        assert contents(used) == before
        assert (await http.get("/readyz")).status_code == 200
    assert (await shell("restore", str(file), "--force")).status == 0


async def test_a_backup_of_an_older_release_is_migrated_and_the_file_is_left_as_it_is(
    used: str, file: Path, shell: Shell
) -> None:
    at_revision(f"sqlite:///{file}", "0001")
    sql(f"sqlite:///{file}", "INSERT INTO users VALUES ('u', 'old', 'x', 'mcp:read', '', '', 0, 0, 1.5)")
    ended = await shell("restore", str(file), "--force")
    assert ended.status == 0, ended
    assert moving.schema_of(used) == HEAD
    assert "old" in await shell.says("users", "list")
    assert moving.schema_of(f"sqlite:///{file}") == "0001"


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def scramble(file: Path) -> None:
    """Overwrite what stands on most pages, as a failing disk does."""
    data = bytearray(file.read_bytes())
    data[8192:] = b"\x5a" * (len(data) - 8192)
    file.write_bytes(data)


def orphan(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("INSERT INTO grants VALUES ('g', 'nobody', 'nothing', '', '', 1, 1, 1, NULL, NULL, NULL)")
        database.commit()


def newer(file: Path) -> None:
    sql(f"sqlite:///{file}", "UPDATE alembic_version SET version_num = '9999'")


@pytest.mark.parametrize("damage", [Path.unlink, cut, scramble, orphan, newer, lambda file: file.write_text("x" * 999)])
async def test_a_file_that_is_no_whole_backup_is_refused_and_nothing_replaced(
    shell: Shell, damage: Callable[[Path], object]
) -> None:
    file = shell.database.with_name("backup.db")
    await shell.says("backup", str(file))
    before = contents(shell.location)
    damage(file)
    ended = await shell("restore", str(file), "--force")
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
    assert ended.err.startswith("FILE: ")
    assert contents(shell.location) == before
