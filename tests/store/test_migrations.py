"""Migrations: from nothing, again, by two processes at once, and never downwards."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from oauth_server.store import migrate
from oauth_server.store.engines import open_engines
from oauth_server.store.errors import StoreError
from oauth_server.store.schema import metadata
from oauth_server.store.store import Store
from oauth_server.store.verbs import meta

ROOT = Path(__file__).parents[2]
OPEN = "import sys; from oauth_server.store.store import Store; Store(sys.argv[1]).close(); {}"


def start(url: str, then: str = "pass") -> subprocess.Popen[str]:
    """A process that opens the store, and then does one thing."""
    command = [sys.executable, "-c", OPEN.format(then), url]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def tables(connection: Connection) -> set[str]:
    """The names of all tables; a verb."""
    return set(inspect(connection).get_table_names())


def set_revision(connection: Connection, revision: str) -> None:
    """Pretend another release migrated this database; a verb."""
    connection.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})


async def test_an_empty_database_gets_the_whole_schema(store: Store) -> None:
    assert await store.read(tables) == {*metadata.tables, "alembic_version"}
    assert await store.read(migrate.current_revision) == migrate.HEAD


async def test_the_migrated_database_is_what_the_schema_says(store: Store) -> None:
    def differences(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    assert await store.read(differences) == []


async def test_partial_indexes_hold_the_rows_that_the_schema_says(store: Store) -> None:
    def conditions(connection: Connection) -> dict[str, str]:
        found = inspect(connection)
        options = {
            index["name"]: index.get("dialect_options", {})
            for table in metadata.tables
            for index in found.get_indexes(table)
        }
        option = f"{store.engine_name}_where"
        return {str(name): str(each[option]).strip("()") for name, each in options.items() if option in each}

    said = {
        index.name: index.info["where"] for table in metadata.tables.values() for index in table.indexes if index.info
    }
    assert await store.read(conditions) == said != {}


async def test_the_comparison_would_see_a_difference(store: Store) -> None:
    def drop_index(connection: Connection) -> None:
        connection.execute(text("DROP INDEX codes_by_end"))
        connection.execute(text("ALTER TABLE users ADD COLUMN extra TEXT"))

    await store.write(drop_index)

    def differences(connection: Connection) -> set[str]:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
        return {difference[0] for difference in found}

    assert await store.read(differences) == {"add_index", "remove_column"}


async def test_a_second_start_keeps_everything(store: Store, empty_database: str) -> None:
    await store.write(meta.remember, "kept", "v")
    again = Store(empty_database)
    try:
        assert await again.read(meta.get, "kept") == "v"
    finally:
        again.close()


async def test_processes_that_start_together_migrate_once(empty_database: str) -> None:
    started = [start(empty_database) for _ in range(3)]
    ends = await asyncio.gather(*(asyncio.to_thread(process.communicate, timeout=60) for process in started))
    assert [process.returncode for process in started] == [0, 0, 0], ends
    store = Store(empty_database)
    try:
        assert await store.read(tables) == {*metadata.tables, "alembic_version"}
        assert await store.read(lambda c: c.execute(text("SELECT count(*) FROM alembic_version")).scalar()) == 1
    finally:
        store.close()


async def test_a_newer_schema_is_refused_and_left_as_it_is(store: Store, empty_database: str) -> None:
    await store.write(set_revision, "9999")
    with pytest.raises(StoreError, match="schema 9999, newer than this program knows"):
        Store(empty_database)
    assert await store.read(migrate.current_revision) == "9999"
    await store.write(set_revision, migrate.HEAD)
    Store(empty_database).close()


def test_alembic_is_imported_only_when_a_migration_is_due(empty_database: str) -> None:
    say = "print('alembic' in sys.modules)"
    found = []
    for _ in range(2):
        process = start(empty_database, say)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        found.append(out.strip())
    assert found == ["True", "False"]


def test_a_migration_that_fails_leaves_nothing_behind(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(connection: Connection, _revision: str) -> None:
        connection.execute(text("CREATE TABLE half (id INTEGER)"))
        raise RuntimeError("power cut")

    monkeypatch.setattr(migrate, "_upgrade", half)
    with pytest.raises(RuntimeError, match="power cut"):
        Store(empty_database)
    monkeypatch.undo()
    engine, _ = open_engines(empty_database)
    with engine.begin() as connection:
        assert tables(connection) == set()
    engine.dispose()
    Store(empty_database).close()


def test_every_revision_in_the_folder_is_known_and_the_newest_is_the_head() -> None:
    from alembic.config import Config  # noqa: PLC0415 - as the program does it
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [migrate.HEAD]
    assert {script.revision for script in scripts.walk_revisions()} == migrate._KNOWN
