"""`users`: who may sign in, and what each may be granted."""

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from oauth_server.core.administration import Administration
from oauth_server.core.settings import load
from oauth_server.core.users import Users
from oauth_server.store.store import Store
from tests.commands.conftest import Shell
from tests.support.clock import ManualClock

PASSWORD = "a password of bob's own"


async def record(shell: Shell, username: str) -> dict[str, Any]:
    """The user as `users list --json` has them."""
    lines = (await shell.says("users", "list", "--json")).splitlines()
    (found,) = (user for user in map(json.loads, lines) if user["username"] == username)
    return dict(found)


async def events(shell: Shell, name: str) -> list[tuple[str, str, str, str]]:
    """Who each event of this name concerned, from where, how it ended, and its detail."""
    lines = (await shell("audit", "--event", name, "--json")).out.splitlines()
    return [(e["actor"], e["address"], e["outcome"], e["detail"]) for e in map(json.loads, lines)]


async def test_a_user_is_added_with_a_piped_password_and_everything_that_was_given(shell: Shell) -> None:
    said = await shell.says(
        *("users", "add", "  Bob ", "--scope", "mcp:write", "--name", "Bob B.", "--email", "bob@example.com"),
        stdin=f"{PASSWORD}\n",
    )
    assert said == "Added bob, who may be granted mcp:read mcp:write.\n"
    bob = await record(shell, "bob")
    assert re.fullmatch(r"[\w-]{22}", bob.pop("sub"))
    assert bob.pop("created_at") > 0
    assert bob == {
        "username": "bob",
        "name": "Bob B.",
        "email": "bob@example.com",
        "scope": ["mcp:read", "mcp:write"],
        "disabled": False,
        "must_change_password": False,
    }
    assert (await events(shell, "user.added"))[1:] == [("bob", "local", "success", "mcp:read mcp:write")]


async def test_a_generated_password_is_shown_once_and_must_be_changed(shell: Shell) -> None:
    said = await shell.says("users", "add", "bob", "--generate")
    found = re.fullmatch(
        r"Added bob, who may be granted mcp:read mcp:write\.\n"
        r"Password: ([\w-]{24}) \(shown only now; to be changed at the next sign-in\)\n",
        said,
    )
    assert found, said
    assert (await record(shell, "bob"))["must_change_password"] is True
    listed = (await shell("users", "list")).out + (await shell("audit")).out
    assert found[1] not in listed


@pytest.mark.parametrize(
    ("words", "stdin", "problem"),
    [
        (("bob",), "short\n", "The password needs at least 12 characters."),
        (("bob-the-builder",), "Bob-The-Builder\n", "Choose a password that differs from the user name"),
        (("bob",), "", "There is no password on standard input: give one there, or say --generate."),
        (("bob",), "caf\udce9 au lait, s'il vous plait\n", "The password on standard input is not UTF-8."),
        (("bob", "--scope", "openid"), PASSWORD, "--scope: 'openid' is not a scope that people are granted here; "),
        (("bob", "--email", "bob"), PASSWORD, "--email: 'bob' is not an e-mail address; "),
        (("bob", "--name", "B\x1b[31m"), PASSWORD, "--name: "),
        ((" ",), PASSWORD, "USERNAME: ' ' cannot be a user name; "),
        (("b\u202eob",), PASSWORD, r"USERNAME: 'b\u202eob' cannot be a user name; "),
        (("x" * 129,), PASSWORD, "USERNAME: "),
        ((), PASSWORD, ""),
    ],
    ids=["short", "name", "empty", "bytes", "scope", "email", "escape", "blank", "direction", "long", "nobody"],
)
async def test_a_mistaken_value_is_told_in_one_line_and_nobody_is_added(
    shell: Shell, words: tuple[str, ...], stdin: str, problem: str
) -> None:
    ended = await shell("users", "add", *words, stdin=stdin)
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended
    assert ended.err.startswith(problem)
    assert ended.lines[0].isprintable()
    assert PASSWORD not in ended.err
    assert [json.loads(line)["username"] for line in (await shell("users", "list", "--json")).out.splitlines()] == [
        "admin"
    ]


async def test_a_taken_name_is_refused_before_a_password_is_asked_for(shell: Shell) -> None:
    before = await record(shell, "admin")
    ended = await shell("users", "add", "ADMIN")
    assert (ended.status, ended.err) == (1, f"There is a user admin in {shell.shown} already.\n")
    assert await record(shell, "admin") == before


async def test_a_password_is_no_argument(shell: Shell) -> None:
    for words in (("users", "add", "bob", PASSWORD), ("users", "set-password", "admin", PASSWORD)):
        ended = await shell(*words)
        assert (ended.status, ended.out) == (2, "")
    ended = await shell("users", "add", "bob", "--password", PASSWORD)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("Unknown option: --password.")


async def test_the_list_is_a_table_whose_lines_no_width_cuts(shell: Shell) -> None:
    name = "名" * 60 + "é" * 60
    await shell.says("users", "add", "bob", "--generate", "--name", name)
    for width in ("20", "400"):
        header, admin, bob = (await shell.says("users", "list", COLUMNS=width)).splitlines()
        assert header.split("  ")[0] == "NAME"
        assert re.match(r"admin  mcp:read mcp:write mcp:admin  enabled           admin ", admin)
        assert re.match(rf"bob    mcp:read mcp:write            new password due  {name}  - ", bob)
        # Columns stand under each other: a wide character takes two cells.
        assert header.index("E-MAIL") - bob.index("  - ") == 2 + 60


async def test_scopes_are_set_with_all_they_include_and_the_change_is_named(shell: Shell) -> None:
    await shell.says("users", "add", "bob", "--generate")
    said = await shell.says("users", "set-scope", "Bob", "mcp:admin")
    assert said == "bob may be granted mcp:read mcp:write mcp:admin (was: mcp:read mcp:write).\n"
    assert (await record(shell, "bob"))["scope"] == ["mcp:read", "mcp:write", "mcp:admin"]
    assert await shell.says("users", "set-scope", "bob", "mcp:read", "mcp:write") != ""
    assert (await record(shell, "bob"))["scope"] == ["mcp:read", "mcp:write"]
    assert "bob may be granted nothing" in await shell.says("users", "set-scope", "bob", "")
    assert (await record(shell, "bob"))["scope"] == []
    assert [detail for *_, detail in await events(shell, "user.scope_set")] == [
        "from mcp:read mcp:write to mcp:read mcp:write mcp:admin",
        "from mcp:read mcp:write mcp:admin to mcp:read mcp:write",
        "from mcp:read mcp:write to nothing",
    ]
    ended = await shell("users", "set-scope", "bob", "mcp:read", "mcp:wirte")
    assert (ended.status, ended.err) == (
        2,
        "SCOPE: 'mcp:wirte' is not a scope that people are granted here; accepted: mcp:read mcp:write mcp:admin\n",
    )
    assert (await record(shell, "bob"))["scope"] == []
    said = await shell.says("users", "set-scope", "bob", "files:read", MCP_OAUTH_SCOPE="files:read mcp:read")
    assert said == "bob may be granted files:read (was: nothing).\n"


async def test_the_last_administrator_may_be_lowered_and_disabled_with_a_word_about_it(shell: Shell) -> None:
    lowered = await shell("users", "set-scope", "admin", "mcp:write")
    word = "No enabled user may be granted mcp:admin now; `users set-scope NAME mcp:admin` gives it to one.\n"
    assert (lowered.status, lowered.err) == (0, word)
    assert await shell.says("users", "set-scope", "admin", "mcp:admin")
    disabled = await shell("users", "disable", "admin", "--yes")
    assert (disabled.status, disabled.err) == (0, word)
    await shell.says("users", "add", "carol", "--generate")
    assert await shell.says("users", "disable", "carol", "--yes")  # she was no administrator: nothing changes
    await shell.says("users", "enable", "admin")
    await shell.says("users", "add", "bob", "--generate", "--scope", "mcp:admin")
    assert await shell.says("users", "disable", "admin", "--yes")


async def test_disabling_is_confirmed_said_once_and_undone_by_enabling(shell: Shell) -> None:
    await shell.says("users", "add", "bob", "--generate")
    refused = await shell("users", "disable", "bob", stdin="y\n")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        "Disable bob, and end 0 browser sessions and 0 grants for good? Nobody can be asked here: say --yes.\n"
    )
    assert (await record(shell, "bob"))["disabled"] is False
    said = await shell.says("users", "disable", "bob", "--yes")
    assert said == "bob is disabled. Ended 0 browser sessions and 0 grants, with all tokens.\n"
    assert (await record(shell, "bob"))["disabled"] is True
    assert await shell.says("users", "disable", "bob") == "bob is disabled already.\n"
    assert await shell.says("users", "enable", "bob") == "bob can sign in again.\n"
    assert (await record(shell, "bob"))["disabled"] is False
    assert await shell.says("users", "enable", "bob") == "bob is not disabled.\n"
    ending = "browser sessions ended: 0, grants revoked: 0"
    assert await events(shell, "user.disabled") == [("bob", "local", "success", ending)]
    assert await events(shell, "user.enabled") == [("bob", "local", "success", "")]


@pytest.mark.parametrize(
    "words", ["disable nobody --yes", "enable nobody", "set-password nobody", "set-scope nobody mcp:read"]
)
async def test_an_unknown_user_is_told_with_the_database_that_was_searched(shell: Shell, words: str) -> None:
    ended = await shell("users", *words.split())
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"No user nobody in {shell.shown}; `users list` shows them.\n"


async def test_a_new_password_must_be_acceptable_and_differ_from_the_present_one(shell: Shell) -> None:
    await shell.says("users", "add", "bob", stdin=PASSWORD)
    same = await shell("users", "set-password", "bob", stdin=PASSWORD)
    assert (same.status, same.out) == (2, "")
    assert "differs from the user name and from the present password" in same.err
    said = await shell.says("users", "set-password", "bob", stdin="another good password\r\n")
    assert said == "bob has a new password. Ended 0 browser sessions.\n"
    assert (await shell("users", "set-password", "bob", stdin="another good password")).status == 2
    assert (await record(shell, "bob"))["must_change_password"] is False
    assert "Password: " in await shell.says("users", "set-password", "bob", "--generate")
    assert (await record(shell, "bob"))["must_change_password"] is True
    assert await events(shell, "password.changed") == [("bob", "local", "success", "")] * 2
    await shell("users", "disable", "bob", "--yes")
    ended = await shell("users", "set-password", "bob", "--generate")
    assert (ended.status, ended.err) == (0, "bob is disabled, and cannot sign in.\n")


async def test_of_two_who_add_the_same_user_at_once_one_is_told(shell: Shell) -> None:
    store = Store(shell.location)
    try:
        admin = Administration(load({}), None, store, ManualClock())
        assert await admin.add_user("bob", PASSWORD, ("mcp:read",)) is True
        with patch.object(Users, "by_username", return_value=None):
            ended = await shell("users", "add", "bob", stdin=PASSWORD)
        assert (ended.status, ended.err) == (1, f"There is a user bob in {shell.shown} already.\n")
        assert await admin.add_user("bob", PASSWORD, ("mcp:read",)) is False
    finally:
        store.close()
    assert [who for who, *_ in await events(shell, "user.added")] == ["admin", "bob"]


async def test_the_owner_of_a_server_for_administrators_alone_can_be_lowered_like_any_other(tmp_path: Path) -> None:
    store, clock = Store(f"sqlite:///{tmp_path}/fresh.db"), ManualClock()
    try:
        admin = Administration(load({}), None, store, clock)
        await admin.users.create_owner(load({"MCP_OAUTH_SCOPE": "mcp:admin"}))
        (owner,) = await admin.everybody()
        assert owner.scope == ("mcp:admin", "mcp:read", "mcp:write")
    finally:
        store.close()
