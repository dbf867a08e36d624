"""`keys rotate` and `keys retire`, beside a server and without one."""

import json
import time
from base64 import b64encode
from typing import Any

import anyio
import pytest

from tests.commands.conftest import Shell
from tests.conftest import MakeServer
from tests.support.databases import sql
from tests.support.mcp_http import ask, token_for
from tests.support.server import Running


async def listed(shell: Shell) -> list[dict[str, Any]]:
    """The keys as a program sees them."""
    return [json.loads(line) for line in (await shell.says("keys", "list", "--json")).splitlines()]


async def states(shell: Shell) -> list[tuple[str, str]]:
    return sorted((key["use"], key["state"]) for key in await listed(shell))


async def kid(shell: Shell, use: str, state: str) -> str:
    return str(next(key["kid"] for key in await listed(shell) if (key["use"], key["state"]) == (use, state)))


async def test_rotation_publishes_a_key_of_each_use_that_signs_ten_minutes_later(shell: Shell) -> None:
    said = (await shell.says("keys", "rotate")).splitlines()
    assert [line.split(" from ")[0].split(" ", 1)[1] for line in said] == [
        "signs access tokens",
        "signs id tokens",
        "signs forms",
    ]
    assert await states(shell) == [(use, state) for use in ("access", "id") for state in ("published", "signing")]
    for key in await listed(shell):
        if key["state"] == "published":
            assert abs(key["signs_from"] - time.time() - 600) < 60
            assert key["ends_at"] is None
        else:
            assert abs(key["ends_at"] - time.time() - 600 - 86_460) < 60
    text = await shell.says("keys", "list")
    assert text.count("published, signs from 2") == text.count("signing, ends 2") == 2


async def test_a_key_that_waits_already_is_told_and_not_succeeded(shell: Shell) -> None:
    await shell.says("keys", "rotate", "--use", "access")
    before = await listed(shell)
    ended = await shell("keys", "rotate", "--use", "access")
    assert (ended.status, ended.out.split(" from ")[0].split(" ", 1)[1]) == (1, "already waits to sign access tokens")
    assert ended.err == "A key that waits is not succeeded; --now makes one that signs at once in its place.\n"
    assert await listed(shell) == before


async def test_a_key_made_with_now_signs_and_the_one_before_verifies(shell: Shell) -> None:
    await shell.says("keys", "rotate", "--use", "id")
    said = await shell.says("keys", "rotate", "--use", "id", "--now")
    assert said.endswith(" signs id tokens from now on.\n")
    assert await states(shell) == [("access", "signing"), ("id", "signing"), ("id", "verifying")]
    assert said.split()[0] == await kid(shell, "id", "signing")


async def test_the_only_key_that_signs_cannot_be_retired(shell: Shell) -> None:
    only = await kid(shell, "access", "signing")
    ended = await shell("keys", "retire", only, "--yes")
    expected = f"{only} is the only one that can sign: `keys rotate --now` makes another first.\n"
    assert (ended.status, ended.out, ended.err) == (1, "", expected)
    unknown = await shell("keys", "retire", "absent", "--yes")
    assert (unknown.status, unknown.err) == (1, f"No key absent in {shell.shown}; `list` shows them.\n")
    hyphen = await shell("keys", "retire", "-absent", "--yes")  # one kid in 64 begins so
    assert (hyphen.status, hyphen.err) == (1, f"No key -absent in {shell.shown}; `list` shows them.\n")
    unasked = await shell("keys", "retire", only)
    assert (unasked.status, unasked.err) == (
        2,
        f"End the key {only}, and all access tokens that it signed? Nobody can be asked here: say --yes.\n",
    )


@pytest.mark.requirement("attack-64")
async def test_a_compromised_key_is_replaced_and_ended_while_the_server_runs(server: Running, shell: Shell) -> None:
    server.clock.advance(60)  # past the clock of the commands
    old = await kid(shell, "access", "signing")
    token = await token_for(server, "mcp:read")
    async with server.client() as http:
        assert (await ask(http, "modern", "tools/list", token=token)).status_code == 200
        await shell.says("keys", "rotate", "--use", "access", "--now")
        assert await shell.says("keys", "retire", old, "--yes") == f"{old} is retired.\n"
        began = time.monotonic()
        with anyio.fail_after(5):
            while (await ask(http, "modern", "tools/list", token=token)).status_code != 401:  # noqa: ASYNC110 - polled from outside
                await anyio.sleep(0.02)
        assert time.monotonic() - began < 1.5
        fresh = await token_for(server, "mcp:read")
        assert (await ask(http, "modern", "tools/list", token=fresh)).status_code == 200
    assert await states(shell) == [("access", "signing"), ("id", "signing")]


async def test_what_is_done_to_keys_is_recorded_and_holds_nothing_private(shell: Shell) -> None:
    await shell.says("keys", "rotate", "--use", "access")
    waiting = await kid(shell, "access", "published")
    await shell.says("keys", "retire", waiting, "--yes")
    events = [json.loads(line) for line in (await shell.says("audit", "--json")).splitlines()]
    assert [
        (e["event"], e["address"], e["detail"]) for e in events if e["event"] in ("key.rotated", "key.retired")
    ] == [
        ("key.rotated", "local", f"{waiting} for access tokens, in 600 s"),
        ("key.retired", "local", waiting),
    ]


async def test_a_rotation_keeps_to_the_encryption_of_the_other_keys(make_server: MakeServer, shell: Shell) -> None:
    key, other = (b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    unsealed = await shell("keys", "rotate", MCP_OAUTH_KEY_ENCRYPTION_KEY=key)
    assert (unsealed.status, unsealed.out) == (2, "")
    problem = "says to store signing keys otherwise than the database has them; accepted: a server that was started"
    assert unsealed.err.startswith(f"MCP_OAUTH_KEY_ENCRYPTION_KEY: {problem} with it before")
    async with make_server(MCP_OAUTH_KEY_ENCRYPTION_KEY=key):
        for wrong in ("", other):
            refused = await shell("keys", "rotate", MCP_OAUTH_KEY_ENCRYPTION_KEY=wrong)
            assert (refused.status, refused.out, len(refused.lines)) == (2, "", 1)
            assert refused.err.startswith("MCP_OAUTH_KEY_ENCRYPTION_KEY: ")
        await shell.says("keys", "rotate", MCP_OAUTH_KEY_ENCRYPTION_KEY=key)
    found = sql(shell.location, "SELECT private_pem FROM signing_keys")
    assert len(found) == 4
    assert all(pem.startswith("aes-256-gcm:") for (pem,) in found)
