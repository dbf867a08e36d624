"""`audit verify`, and what the commands that move data say of a log that was changed."""

import json
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from oauth_server.store import moving
from oauth_server.store.engines import open_engines
from oauth_server.store.migrate import bring_to
from oauth_server.store.records import AuditEvent
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit
from tests.commands.conftest import Shell
from tests.support.tampering import tamper

CHANGE = "UPDATE audit SET actor = 'nobody' WHERE actor = 'bob'"


async def history(shell: Shell) -> None:
    for name in ("bob", "carol", "dave"):
        await shell.says("users", "add", name, "--generate")


async def test_a_log_that_nobody_changed_is_right_and_has_a_mark(shell: Shell) -> None:
    await history(shell)
    said = (await shell.says("audit", "verify")).splitlines()
    told = json.loads(await shell.says("audit", "verify", "--json"))
    assert said[0].startswith(f"Nothing was changed, added or taken away: {told['events']} events from 20")
    assert said[1] == f"Mark: {told['mark']}"
    assert told["intact"] is True
    assert (told["broken"], told["contains"]) == (None, None)
    assert told["newest"] >= told["oldest"] > 1.7e9
    assert told["mark"].startswith(f"{told['events']}:")


async def test_a_change_is_found_with_its_place(shell: Shell) -> None:
    await history(shell)
    before = json.loads(await shell.says("audit", "verify", "--json"))
    tamper(shell.location, CHANGE)
    ended = await shell("audit", "verify")
    position = before["events"] - 2
    assert (ended.status, ended.err) == (1, "")
    assert ended.out.startswith(
        f"The log was changed: event {position} (lane 0, position {position}) does not say what"
    )
    assert ended.out.endswith(
        "no events.\n"
        if position == 1
        else f"{position - 1} event{'s' * (position > 2)} from" + ended.out.rsplit("from")[-1]
    )
    ended = await shell("audit", "verify", "--json", "--contains", before["mark"])
    told = json.loads(ended.out)
    assert (ended.status, told["intact"], told["mark"], told["contains"]) == (1, False, None, None)
    assert "does not say what was recorded" in told["broken"]


async def test_a_mark_that_was_noted_is_looked_for(shell: Shell, tmp_path: Path) -> None:
    await history(shell)
    mark = json.loads(await shell.says("audit", "verify", "--json"))["mark"]
    await shell.says("users", "set-scope", "bob", "mcp:read")
    said = await shell.says("audit", "verify", "--contains", mark)
    assert said.endswith(
        "All that it had when the other mark was noted is still in it, but for what left at its time.\n"
    )
    other = mark[:-1] + ("A" if mark[-1] != "A" else "B")
    ended = await shell("audit", "verify", "--contains", other)
    assert ended.status == 1
    assert ended.out.endswith("is not in it: the log was written anew.\n")
    ended = await shell("audit", "verify", "--contains", "12")
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1)
    assert ended.err.startswith("--contains: '12' is no mark; accepted: the positions in each lane")


async def test_a_mark_that_proves_nothing_any_more_has_a_status_of_its_own(shell: Shell) -> None:
    await history(shell)
    noted = json.loads(await shell.says("audit", "verify", "--json"))
    now, year = time.time(), 365 * 86_400
    store = Store(shell.location)
    for age in (3, 2, 1):
        retained = AuditEvent("audit.retention", "success", detail="365 days", at=now - year - age * 3600)
        await store.write(audit.append, retained)
    # As housekeeping would, years later: it goes by the clock of the database.
    last = noted["events"] + 2
    tamper(
        shell.location,
        f"INSERT INTO audit_anchors SELECT lane, position, hash FROM audit WHERE position = {last - 1}",  # noqa: S608
        f"DELETE FROM audit WHERE position <= {last - 1}",  # noqa: S608
    )
    store.close()
    ended = await shell("audit", "verify", "--contains", noted["mark"])
    assert (ended.status, ended.err) == (3, "")
    assert ended.out.startswith("Nothing was changed, added or taken away: 2 events from 2025-")
    assert ended.out.endswith("The other mark proves nothing any more: events left since that it rests on.\n")
    ended = await shell("audit", "verify", "--json", "--contains", noted["mark"])
    told = json.loads(ended.out)
    assert (ended.status, told["intact"], told["contains"]) == (3, True, None)
    assert told["retention"] == [{"at": now - year - age * 3600, "days": 365} for age in (2, 1)]


@pytest.mark.parametrize("lanes", ["12:3.4", "1.2:3", "1:2:3"])
async def test_a_mark_whose_groups_do_not_fit_is_refused(shell: Shell, lanes: str) -> None:
    ended = await shell("audit", "verify", "--contains", f"{lanes}:{'A' * 43}")
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1)
    assert "is no mark; accepted: the positions in each lane where it ended" in ended.err


async def test_a_database_that_cannot_be_checked_is_told(shell: Shell, tmp_path: Path) -> None:
    older = f"sqlite:///{tmp_path}/older.db"
    engine, _ = open_engines(older)
    with engine.begin() as connection:
        bring_to(connection, "0005")
    engine.dispose()
    ended = await shell("audit", "verify", MCP_OAUTH_DATABASE_URL=older)
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1)
    assert "its audit log is not chained yet: run `migrate`" in ended.err
    assert moving.schema_of(older) == "0005"
    engine, _ = open_engines(older)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    ended = await shell("audit", "verify", MCP_OAUTH_DATABASE_URL=older)
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1)
    assert "has schema 9999, newer than this program knows" in ended.err
    ended = await shell("audit", "verify", MCP_OAUTH_DATABASE_URL=f"sqlite:///{tmp_path}/none.db")
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1)


@pytest.mark.parametrize("force", [False, True])
async def test_data_with_a_changed_log_moves_on_and_the_break_is_told(
    shell: Shell, tmp_path: Path, force: bool
) -> None:
    await history(shell)
    tamper(shell.location, CHANGE)
    file, target = tmp_path / "backup.db", f"sqlite:///{tmp_path}/target.db"
    told = "was changed before it was copied: event "
    made = await shell("backup", str(file))
    assert (made.status, made.err.count(told), made.err.count(str(file))) == (0, 1, 1), made
    copied = await shell("copy", shell.location, target)
    assert (copied.status, copied.err.count(told)) == (0, 1), copied
    words = ("--force",) if force else ()
    where = target if force else f"sqlite:///{tmp_path}/other.db"
    restored = await shell("restore", str(file), *words, MCP_OAUTH_DATABASE_URL=where)
    assert (restored.status, restored.err.count(told)) == (0, 1), restored
    assert (await shell("audit", "verify", MCP_OAUTH_DATABASE_URL=where)).status == 1
