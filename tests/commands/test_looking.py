"""`keys`, `audit` and `config`: commands that only look."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from oauth_server.core.settings import ENV_NAMES
from oauth_server.store.records import AuditEvent
from oauth_server.store.verbs.audit import append
from tests.commands.conftest import Shell
from tests.support.databases import sql
from tests.support.server import Running
from tests.support.tampering import tamper

SECRET = "a-secret-of-sixteen-characters-and-more"


def rows(said: str) -> list[dict[str, Any]]:
    """JSON of one object a line."""
    return [json.loads(line) for line in said.splitlines()]


async def test_the_keys_are_those_of_the_published_key_set_and_nothing_private_is_shown(
    server: Running, shell: Shell
) -> None:
    async with server.client() as http:
        published = (await http.get("/.well-known/jwks.json")).json()["keys"]
    found = rows(await shell.says("keys", "list", "--json"))
    assert {(key["kid"], key["alg"]) for key in found} == {(key["kid"], key["alg"]) for key in published}
    assert {(key["use"], key["alg"], key["state"]) for key in found} == {
        ("access", "ES256", "signing"),
        ("id", "RS256", "signing"),
    }
    assert all(set(key) == {"kid", "alg", "use", "created_at", "state", "signs_from", "ends_at"} for key in found)
    header, *lines = (await shell.says("keys", "list")).splitlines()
    assert header.split() == ["KID", "ALG", "USE", "CREATED", "STATE"]
    assert sorted(line.split()[0] for line in lines) == sorted(key["kid"] for key in found)


async def test_a_key_that_signs_no_more_is_told_and_none_is_made_by_looking(shell: Shell) -> None:
    found = rows(await shell.says("keys", "list", "--json", MCP_OAUTH_SIGNING_ALG="RS256"))
    assert sorted((key["use"], key["alg"], key["state"]) for key in found) == [
        ("access", "ES256", "verifying"),
        ("id", "RS256", "signing"),
    ]
    columns = "'older', use, alg, private_pem, created_at - 9, signs_from - 9, signs_from"
    sql(shell.location, f"INSERT INTO signing_keys SELECT {columns} FROM signing_keys WHERE use = 'id'")  # noqa: S608
    found = rows(await shell.says("keys", "list", "--json"))
    assert [key["state"] for key in found if key["use"] == "id"] == ["signing", "verifying"]
    assert [key["kid"] for key in found][-1] == "older"


async def history(shell: Shell) -> None:
    """Three users, in this order."""
    for name in ("bob", "carol", "dave"):
        await shell.says("users", "add", name, "--generate")


async def test_the_log_is_shown_the_newest_last_and_bounded(shell: Shell) -> None:
    await history(shell)
    header, *lines = (await shell.says("audit")).splitlines()
    first = [line.split()[1] for line in lines[:-3]]
    assert sorted(first) == ["client.configured", "key.created", "key.created", "key.created", "user.added"]
    assert header.split() == ["TIME", "EVENT", "OUTCOME", "USER", "CLIENT", "ADDRESS", "DETAIL"]
    assert [line.split()[1:6] for line in lines[-3:]] == [
        ["user.added", "success", name, "-", "local"] for name in ("bob", "carol", "dave")
    ]
    assert [e["actor"] for e in rows(await shell.says("audit", "--limit", "2", "--json"))] == ["carol", "dave"]
    (newest,) = rows(await shell.says("audit", "--limit", "1", "--json"))
    assert list(newest) == ["at", "event", "outcome", "actor", "client_id", "address", "detail", "request_id"]
    assert abs(newest["at"] - time.time()) < 60
    assert (await shell("audit", "--limit", "0")).status == 2


async def test_the_log_is_searched_by_event_user_client_and_time(shell: Shell, server: Running) -> None:
    await history(shell)
    await shell.says("users", "set-scope", "bob", "mcp:read")
    await shell.says("clients", "add", "--redirect-uri", "https://a.example/cb")
    assert await server.services.logins.sign_in("Bob", "a wrong password") is None

    async def found(*words: str) -> list[str]:
        return [event["event"] for event in rows((await shell("audit", *words, "--json")).out)]

    assert await found("--user", "BOB") == ["user.added", "user.scope_set", "login"]
    assert await found("--user", "bob", "--event", "user.scope_set") == ["user.scope_set"]
    assert await found("--event", "client.registered") == ["client.registered"]
    (client,) = rows(await shell.says("audit", "--event", "client.registered", "--json"))
    assert await found("--client", client["client_id"]) == ["client.registered"]
    assert await found("--user", "nobody") == []
    sub = next(user["sub"] for user in rows(await shell.says("users", "list", "--json")) if user["username"] == "bob")
    revoked = AuditEvent("token.revoked", "success", actor=sub, at=time.time())
    await server.services.store.write(append, revoked)
    assert await found("--user", "bob") == ["user.added", "user.scope_set", "login", "token.revoked"]
    tamper(shell.location, "UPDATE audit SET at = at - 7000 WHERE event = 'user.added' AND actor = 'bob'")
    assert len(await found("--since", "3h")) == 12
    assert len(await found("--since", "1h")) == 11
    assert await found("--since", "2999-01-01") == []
    assert len(await found("--since", "2020-01-01T00:00:00Z")) == 12
    empty = await shell("audit", "--user", "nobody")
    assert (empty.status, empty.out, empty.err) == (0, "", f"No such events in {shell.shown}.\n")


@pytest.mark.parametrize(("text", "hours"), [("2026-07-28T14:00:00", 0), ("2026-07-28T14:00:00+02:00", -2)])
async def test_a_time_without_an_offset_is_utc_wherever_the_operator_is(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, text: str, hours: int
) -> None:
    await history(shell)
    at = 1785247200 + hours * 3600  # 2026-07-28T14:00:00Z
    for name, second in (("bob", -1), ("carol", 0), ("dave", 1)):
        tamper(shell.location, f"UPDATE audit SET at = {at + second} WHERE actor = '{name}'")  # noqa: S608
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/New_York")
        time.tzset()
        found = rows(await shell.says("audit", "--since", text, "--json", TZ="America/New_York"))
        shown = await shell.says("audit", TZ="America/New_York")
    time.tzset()
    assert [event["actor"] for event in found if event["actor"] != "admin" and event["actor"]] == ["carol", "dave"]
    assert f"2026-07-28T{14 + hours}:00:00Z user.added success carol" in " ".join(shown.split())


@pytest.mark.parametrize("text", ["yesterday", "1w", "-1h", "2026-13-01", ""])
async def test_a_time_that_is_none_is_told(shell: Shell, text: str) -> None:
    ended = await shell("audit", f"--since={text}")
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1)


async def test_every_setting_is_shown_with_its_origin_and_no_secret(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    env = {
        "MCP_OAUTH_CLIENT_SECRET_FILE": str(tmp_path / "secret"),
        "MCP_OAUTH_ADMIN_PASSWORD": SECRET,
        "MCP_OAUTH_ALLOW_ORIGINS": "https://a.example https://b.example",
        "MCP_PORT": "9001",
    }
    document = json.loads(await shell.says("config", "--json", **env))
    shown = {row["name"]: (row["value"], row["origin"]) for row in document["settings"]}
    assert list(shown) == list(ENV_NAMES.values())
    assert shown["MCP_OAUTH_CLIENT_SECRET"] == ("set", "file")
    assert shown["MCP_OAUTH_ADMIN_PASSWORD"] == ("set", "environment")
    assert shown["MCP_OAUTH_ALLOW_ORIGINS"] == (["https://a.example", "https://b.example"], "environment")
    assert shown["MCP_PORT"] == (9001, "environment")
    assert shown["MCP_OAUTH_TOKEN_EXPIRY"] == (3600, "default")
    assert shown["MCP_OAUTH_DATABASE_URL"] == (shell.location, "environment")
    # The server that made this database served port 8000; the one it would serve now is not recorded yet.
    assert shown["MCP_OAUTH_ISSUER"] == ("http://localhost:8000", "recorded")
    text = await shell.says("config", **env)
    assert SECRET not in text + str(document)
    for line in ("MCP_OAUTH_CLIENT_SECRET set file (NAME_FILE)", "MCP_OAUTH_ADMIN_PASSWORD set environment"):
        assert line in [" ".join(row.split()) for row in text.splitlines()]
    for line in ("MCP_OAUTH_ISSUER http://localhost:8000 recorded by the server", "MCP_OAUTH_REQUIRE_HTTPS - default"):
        assert line in [" ".join(row.split()) for row in text.splitlines()]


async def test_the_warnings_of_the_server_are_shown(shell: Shell) -> None:
    sample = {"MCP_OAUTH_CLIENT_SECRET": "mcp_secret_key_change_in_production_2024"}
    ended = await shell("config", **sample)
    assert ended.status == 0
    assert ended.err.startswith("Warning: MCP_OAUTH_CLIENT_SECRET is the sample of the documentation")
    (warning,) = json.loads((await shell("config", "--json", **sample)).out)["warnings"]
    assert ended.err == f"Warning: {warning}\n"


async def test_what_would_keep_the_server_from_starting_is_told_after_the_table(shell: Shell) -> None:
    ended = await shell("config", MCP_OAUTH_ISSUER="http://auth.example")
    assert (ended.status, len(ended.out.splitlines())) == (2, 1 + len(ENV_NAMES))
    assert ended.err.startswith("MCP_OAUTH_ISSUER: http://auth.example is not https; ")
    wrong = await shell("config", MCP_OAUTH_TOKEN_EXPIRY="soon")
    assert (wrong.status, wrong.out, len(wrong.lines)) == (2, "", 1)
    unreachable = await shell("config", MCP_OAUTH_DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/db")
    assert (unreachable.status, len(unreachable.lines)) == (2, 1)
    assert "postgresql://me:***@127.0.0.1:1/db" in unreachable.out
    assert "hunter2" not in unreachable.out + unreachable.err


async def test_config_creates_no_database(shell: Shell, tmp_path: Path) -> None:
    said = await shell.says("config", MCP_OAUTH_DATABASE_URL=f"sqlite:///{tmp_path}/new/oauth.db")
    assert "MCP_OAUTH_ISSUER - default" in [" ".join(row.split()) for row in said.splitlines()]
    assert not (tmp_path / "new").exists()
