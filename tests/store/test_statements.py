"""Compiled statements do what SQLAlchemy's own execution does, on both engines."""

import pytest
from sqlalchemy import Connection, bindparam, event, insert, select, update
from sqlalchemy.exc import IntegrityError

from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.schema import clients, meta, users
from oauth_server.store.statements import Statement
from oauth_server.store.store import Store
from oauth_server.store.verbs import clients as clients_
from oauth_server.store.verbs import users as users_
from oauth_server.store.verbs.upsert import dialect_insert
from tests.support.stored import client, user

ADD = Statement(insert(meta).inline().values(name=bindparam("name"), value=bindparam("value")))
FIND = Statement(select(meta.c.value).where(meta.c.name == bindparam("of")))


async def test_every_column_comes_as_sqlalchemy_gives_it(store: Store) -> None:
    await store.write(clients_.add, client("c", secret_hash=b"\x00\xff", metadata={"a": [1, "ü"]}, last_used_at=1.5))
    await store.write(users_.add, user("zoe", must_change_password=True))

    def both(connection: Connection) -> None:
        for table, key, value in ((clients, "client_id", "c"), (users, "username", "zoe")):
            statement = select(table).where(table.c[key] == bindparam("of"))
            plain = connection.execute(statement, {"of": value}).mappings().all()
            compiled = Statement(statement).all(connection, of=value)
            assert compiled == [dict(row) for row in plain]
            assert [[type(v) for v in row.values()] for row in compiled] == [
                [type(v) for v in r.values()] for r in plain
            ]

    await store.read(both)


async def test_what_is_written_is_committed_and_counted(store: Store) -> None:
    change = Statement(update(meta).where(meta.c.name == bindparam("of")).values(value=bindparam("new")))

    def write(connection: Connection) -> tuple[int, int]:
        ADD.run_each(connection, [{"name": name, "value": "1"} for name in "ab"])
        return change.run(connection, of="a", new="2"), change.run(connection, of="nobody", new="2")

    assert await store.write(write) == (1, 0)
    assert await store.read(FIND.first, of="a") == {"value": "2"}
    assert await store.read(FIND.first, of="c") is None


async def test_a_failure_is_sqlalchemys_and_undoes_the_verb_alone(store: Store) -> None:
    await store.write(ADD.run, name="a", value="1")

    def twice(connection: Connection) -> None:
        ADD.run(connection, name="b", value="1")
        ADD.run(connection, name="a", value="1")

    with pytest.raises(IntegrityError) as caught:
        await store.write(twice)
    assert "1" not in str(caught.value.params)  # an error goes to the log, and what a statement was given must not
    assert await store.read(FIND.first, of="b") is None
    await store.write(ADD.run, name="b", value="2")
    assert await store.read(FIND.first, of="b") == {"value": "2"}


async def test_a_value_that_is_missing_is_said(store: Store) -> None:
    with pytest.raises(KeyError, match="value"):
        await store.write(ADD.run, name="a")
    assert await store.read(FIND.first, of="a") is None


async def test_a_statement_may_be_made_for_each_dialect(store: Store) -> None:
    statement = Statement(
        lambda dialect: (
            dialect_insert(dialect, meta)
            .values(name=bindparam("name"), value=bindparam("value"))
            .on_conflict_do_update(index_elements=["name"], set_={"value": "again"})
            .returning(meta.c.value)
        )
    )
    assert await store.write(statement.first, name="a", value="first") == {"value": "first"}
    assert await store.write(statement.first, name="a", value="first") == {"value": "again"}


async def test_what_needs_sqlalchemy_each_time_is_refused_when_it_is_first_run(store: Store) -> None:
    with pytest.raises(TypeError, match="SQLAlchemy"):
        await store.read(Statement(select(meta.c.value).where(meta.c.name.in_(["a"]))).all)


async def test_who_listens_to_an_engine_sees_them(store: Store) -> None:
    seen: list[str] = []

    def note(_connection: Connection, _cursor: object, sql: str, *_: object) -> None:
        seen.append(sql)

    for moment in ("before_cursor_execute", "after_cursor_execute"):
        event.listen(store._read_engine, moment, note)
    await store.read(FIND.first, of="a")
    for moment in ("before_cursor_execute", "after_cursor_execute"):
        event.remove(store._read_engine, moment, note)
    assert [sql for sql in seen if "FROM meta" in sql] == [seen[-1]] * 2


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)
async def test_a_lost_connection_is_found_and_the_verb_runs_again(store: Store) -> None:
    killed: list[int] = []

    def die(connection: Connection) -> object:
        if not killed:
            driver = connection.connection.driver_connection
            assert driver is not None
            killed.append(driver.fileno())
            driver.close()
        return FIND.first(connection, of="a")

    assert await store.read(die) is None
    assert killed

    def always(connection: Connection) -> object:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.close()
        return FIND.first(connection, of="a")

    with pytest.raises(StoreUnavailableError):
        await store.read(always)
    assert await store.read(FIND.first, of="a") is None
