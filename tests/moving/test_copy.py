"""`copy`: everything arrives, a server goes on with it, and whatever stands in the way changes nothing."""

import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import text

from oauth_server.store import copying, moving
from oauth_server.store.engines import open_engines
from oauth_server.store.migrate import HEAD, bring_to
from oauth_server.store.records import AuditEvent
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit
from tests.commands.conftest import Shell
from tests.commands.test_beside_a_server import alive, is_signed_in, refusal
from tests.moving.conftest import MakeDatabase, Serve
from tests.support.authorize import registered
from tests.support.browser import Browser
from tests.support.databases import ENGINES
from tests.support.server import PASSWORD

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", HEAD)
ALTERING = {
    "sqlite": (
        "CREATE TRIGGER altering AFTER INSERT ON users BEGIN UPDATE users SET email = 'other@example.com'; END",
    ),
    "postgresql": (
        "CREATE FUNCTION altering() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email = 'x'; RETURN NEW; END $$",
        "CREATE TRIGGER altering BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION altering()",
    ),
}


def contents(url: str) -> dict[str, copying.Contents]:
    """Every table of a database: how many rows, and which."""
    with moving.snapshot(url) as connection:
        return {table.name: copying.contents(connection, table) for table in copying.tables(connection)}


def sql(url: str, *statements: str) -> None:
    """Change a database behind everybody's back."""
    engine, _ = open_engines(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def beginning_with(folder: Path, name: str) -> list[Path]:
    """The files that stand in a folder."""
    return [*folder.glob(f"{name}*")]


def at_revision(url: str, revision: str) -> None:
    """Make the schema of an older release."""
    engine, _ = open_engines(url)
    with engine.begin() as connection:
        bring_to(connection, revision)
    engine.dispose()


async def test_a_server_goes_on_with_the_copy_where_it_stopped(
    used: str, other_engine: str, empty: MakeDatabase, shell: Shell, serve: Serve
) -> None:
    target = empty(other_engine)
    async with AsyncExitStack() as stack:
        async with serve(used) as first, first.client() as http:
            browser = Browser(first.url)
            stack.push_async_callback(browser.close)
            account = await browser.account()
            client = await registered(stack, first)
            kept = await client.tokens(browser)
            ended = await client.tokens(browser)
            await http.post("/oauth/revoke", data={"token": ended["access_token"], "client_id": client.client_id})
            rotated = (await client.refresh(kept["refresh_token"])).json()
            keys = (await http.get("/.well-known/jwks.json")).json()
            copied = await shell("copy", used, target)
            assert (copied.status, copied.err) == (0, ""), copied
            await shell.says("users", "add", "late", stdin=PASSWORD, MCP_OAUTH_DATABASE_URL=used)
        async with serve(target) as second, second.client() as http:
            assert (await http.get("/.well-known/jwks.json")).json() == keys
            assert await alive(http, kept["access_token"])
            assert not await alive(http, ended["access_token"])
            assert await is_signed_in(browser, account)
            anew = Browser(second.url)
            stack.push_async_callback(anew.close)
            assert await alive(http, (await client.tokens(anew))["access_token"])
            fresh = (await client.refresh(rotated["refresh_token"])).json()
            assert await alive(http, fresh["access_token"])
            second.clock.advance(60)
            assert await refusal(client, rotated["refresh_token"]) == "invalid_grant"
        assert "late" in await shell.says("users", "list", MCP_OAUTH_DATABASE_URL=used)
        assert "late" not in await shell.says("users", "list", MCP_OAUTH_DATABASE_URL=target)


async def test_all_rows_arrive_in_batches_and_the_log_goes_on_after_them(
    used: str, other_engine: str, empty: MakeDatabase, shell: Shell
) -> None:
    store = Store(used)
    events = [AuditEvent("tested", "success", f"naïve {n} 名", "", "local", "", 1.5 + n / 7) for n in range(2501)]
    await store.write(audit.append, *events)
    store.close()
    before, target = contents(used), empty(other_engine)
    said = await shell.says("copy", used, target)
    after = contents(target)
    assert contents(used) == before
    assert {name for name in before if before[name] != after[name]} == {"audit", "audit_heads"}
    assert after["audit"].rows == before["audit"].rows + 1
    shown = dict(line.split() for line in said.splitlines()[1:-1])
    assert shown == {name: str(found.rows) for name, found in before.items()}
    with moving.snapshot(target) as connection:
        (newest,) = audit.newest(connection, 1)
        ids = [*connection.execute(text("SELECT id FROM audit ORDER BY id")).scalars()]
    assert (newest.event, newest.outcome) == ("database.copied", "success")
    assert ids == [*range(ids[0], ids[0] + len(ids))]
    assert f"{sum(found.rows for found in before.values())} rows" in said
    assert "hunter2" not in said + newest.detail


async def test_a_target_that_is_only_migrated_is_filled(engine: str, empty: MakeDatabase, shell: Shell) -> None:
    target = empty(engine)
    Store(target).close()
    await shell.says("copy", shell.location, target)
    assert contents(target)["users"] == contents(shell.location)["users"]


async def test_a_target_with_anything_in_it_is_refused_and_left_alone(
    engine: str, empty: MakeDatabase, shell: Shell
) -> None:
    target = empty(engine)
    Store(target).close()
    sql(target, "INSERT INTO meta VALUES ('issuer', 'https://mcp.example')")
    before = contents(target)
    ended = await shell("copy", shell.location, target)
    assert (ended.status, ended.out, ended.err) == (1, "", "Nothing was changed: the target is not empty.\n")
    assert contents(target) == before
    ended = await shell("copy", shell.location, shell.location)
    assert (ended.status, ended.out, len(ended.lines)) == (1, "", 1)


async def test_a_target_of_another_schema_is_refused_and_left_alone(
    engine: str, empty: MakeDatabase, shell: Shell
) -> None:
    target = empty(engine)
    at_revision(target, "0001")
    ended = await shell("copy", shell.location, target)
    assert (ended.status, ended.out, len(ended.lines)) == (1, "", 1)
    assert f"schema 0001, the source {HEAD}" in ended.err
    assert moving.schema_of(target) == "0001"


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_database_of_an_older_release_is_copied_whole(
    engine: str, empty: MakeDatabase, shell: Shell, revision: str
) -> None:
    source, target = (empty(one) for one in (ENGINES if engine == "sqlite" else ENGINES[::-1]))
    at_revision(source, revision)
    sql(source, "INSERT INTO meta VALUES ('issuer', 'https://mcp.example')")
    with moving.snapshot(source) as connection:
        names = {table.name for table in copying.tables(connection)}
        everything = connection.dialect.get_table_names(connection)  # type: ignore[attr-defined]
    assert names == {*everything} - {"alembic_version"}
    copied, _ = moving.copy(source, target, lambda _: None)
    assert copied == {name: int(name == "meta") for name in names}
    assert moving.schema_of(target) == revision
    assert contents(target) == contents(source)
    await shell.says("migrate", MCP_OAUTH_DATABASE_URL=target)


async def test_rows_that_arrive_other_than_they_were_are_noticed_and_none_stays(
    engine: str, empty: MakeDatabase, shell: Shell
) -> None:
    target = empty(engine)
    Store(target).close()
    sql(target, *ALTERING[engine])
    ended = await shell("copy", shell.location, target)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == "Nothing was changed: table users arrived other than it was read.\n"
    assert {found.rows for found in contents(target).values()} == {0}


async def test_what_is_written_after_the_snapshot_is_not_in_it(used: str) -> None:
    with moving.snapshot(used) as connection:
        before = {table.name: copying.contents(connection, table) for table in copying.tables(connection)}
        sql(used, "INSERT INTO meta VALUES ('written', 'later')")
        assert {t.name: copying.contents(connection, t) for t in copying.tables(connection)} == before
    assert contents(used) != before


async def test_a_copy_that_fails_half_way_leaves_no_file(tmp_path: Path, shell: Shell) -> None:
    with closing(sqlite3.connect(shell.database)) as database:
        database.execute("INSERT INTO grants VALUES ('g', 'nobody', 'nothing', '', '', 1, 1, 1, NULL, NULL, NULL)")
        database.commit()
    ended = await shell("copy", shell.location, f"sqlite:///{tmp_path}/copy.db")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == "Nothing was changed: FOREIGN KEY constraint failed.\n"
    assert not beginning_with(tmp_path, "copy.db")


async def test_a_server_that_runs_with_the_target_keeps_it(engine: str, empty: MakeDatabase, shell: Shell) -> None:
    target = empty(engine)
    store = Store(target)
    ended = await shell("copy", shell.location, target)
    assert (ended.status, ended.out, len(ended.lines)) == (1, "", 1), ended
    assert "stop it first" in ended.err
    store.close()
    assert (await shell("copy", shell.location, target)).status == 0


@pytest.mark.parametrize(
    ("source", "target", "named"),
    [
        ("sqlite:///none.db", "sqlite:///copy.db", "FROM: there is no database at sqlite:///none.db"),
        ("oracle://me:hunter2@db/x", "sqlite:///copy.db", "FROM: a database of kind 'oracle' is not supported"),
        ("postgresql://me:hunter2@127.0.0.1:1/x", "sqlite:///copy.db", "FROM: the database cannot be reached"),
        ("sqlite:///empty.db", "sqlite:///copy.db", "FROM: it holds nothing"),
        ("sqlite:///text.db", "sqlite:///copy.db", "FROM: the database cannot be reached or used: file is not a"),
        ("", "oracle://me:hunter2@db/x", "TO: a database of kind 'oracle' is not supported"),
        ("", "postgresql://me:hunter2@127.0.0.1:1/x", "TO: the database cannot be reached or used: "),
        ("", "sqlite:///text.db", "TO: the database cannot be reached or used: file is not a database"),
        ("", "sqlite:////dev/null/copy.db", "TO: /dev/null/copy.db cannot be written"),
    ],
)
async def test_a_database_that_cannot_be_used_is_named_without_its_password(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("no database at all " * 100)
    ended = await shell("copy", source or shell.location, target)
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
    assert ended.err.startswith(named)
    assert "hunter2" not in ended.err
    assert not (tmp_path / "copy.db").exists()
