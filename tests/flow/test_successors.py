"""A replaced refresh token opens its successor for as long as it must, and the database forgets it then."""

import asyncio
import contextlib
import sqlite3
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from oauth_server.core.grants import _NONCE, _seal
from oauth_server.store import backups, moving
from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.databases import both_engines, sql
from tests.support.oauth import OAuthClient
from tests.support.outside import assert_error, audited, registered, stored
from tests.support.server import Running

pytestmark = both_engines
SEALED = "SELECT token_hash, sealed_successor FROM refresh_tokens WHERE sealed_successor IS NOT NULL"


def sealed(location: str) -> dict[bytes, bytes]:
    """The sealed successors that are stored, by the hash of the token that opens each."""
    return {bytes(hashed): bytes(text) for hashed, text in sql(location, SEALED)}


def opened(location: str, token: str) -> str:
    """The newest token that somebody with one replaced token and a copy of the database comes to."""
    texts = sealed(location).values()
    while (found := next((plain for text in texts if (plain := _try(token, text)) is not None), None)) is not None:
        token = found
    return token


def _try(token: str, text: bytes) -> str | None:
    try:
        return _seal(token).decrypt(_NONCE, text, None).decode()
    except InvalidTag:  # another token opens it
        return None


async def until_none(location: str, seconds: float = 12) -> None:
    """Wait until no sealed successor is stored; nobody asks the server for anything meanwhile."""
    end = time.monotonic() + seconds
    while sealed(location):
        assert time.monotonic() < end, "a sealed successor is still stored"
        await asyncio.sleep(0.2)


@pytest.mark.requirement("attack-44", "attack-45", "AS-27")
async def test_a_used_successor_is_sealed_nowhere_any_more(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    first = (await client.tokens(browser))["refresh_token"]
    given = [first]
    for _ in range(4):
        given.append((await client.refresh(given[-1])).json()["refresh_token"])
    # The last one alone: its successor, which nobody used yet, may have to be handed out again.
    assert opened(server.location, given[-2]) == given[-1]
    assert [opened(server.location, token) for token in given[:-2]] == given[:-2]
    assert len(sealed(server.location)) == 1


@pytest.mark.requirement("attack-44", "attack-45")
async def test_the_end_of_the_window_deletes_the_sealed_successor_without_any_request(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    first = (await client.tokens(browser))["refresh_token"]
    second = (await client.refresh(first)).json()["refresh_token"]
    server.clock.advance(30)
    await asyncio.sleep(0.5)
    assert opened(server.location, first) == second
    server.clock.advance(1)
    await until_none(server.location)
    assert (await client.refresh(second)).status_code == 200


@pytest.mark.requirement("attack-44", "attack-45")
async def test_a_start_deletes_what_ended_while_no_process_ran(make_server: MakeServer) -> None:
    async with make_server() as server:
        browser, client = Browser(server.url), OAuthClient(server)
        first = (await client.tokens(browser))["refresh_token"]
        await client.refresh(first)
        await browser.close()
        await client.close()
    assert sealed(server.location)
    server.clock.advance(31)
    async with make_server() as later:
        await until_none(later.location, 3)


@pytest.mark.requirement("attack-44")
async def test_without_a_window_nothing_is_sealed(make_server: MakeServer, closing: AsyncExitStack) -> None:
    async with make_server(MCP_OAUTH_REFRESH_GRACE="0") as server:
        browser, client = Browser(server.url), OAuthClient(server)
        closing.push_async_callback(browser.close)
        closing.push_async_callback(client.close)
        await client.refresh((await client.tokens(browser))["refresh_token"])
        assert sealed(server.location) == {}


@pytest.mark.requirement("attack-44")
async def test_neither_a_backup_nor_a_copy_has_sealed_successors(
    server: Running, browser: Browser, client: OAuthClient, tmp_path: Path
) -> None:
    first = (await client.tokens(browser))["refresh_token"]
    await client.refresh(first)
    (text,) = sealed(server.location).values()
    backup, copied = tmp_path / "backup.db", tmp_path / "copy.db"
    await asyncio.to_thread(backups.backup, server.location, backup, force=False)
    await asyncio.to_thread(moving.copy, server.location, f"sqlite:///{copied}", lambda _: None)
    for file in (backup, copied):
        assert text not in file.read_bytes()
        with contextlib.closing(sqlite3.connect(file)) as database:
            (there,) = database.execute("SELECT count(*) FROM refresh_tokens").fetchone()
        assert (there, sealed(f"sqlite:///{file}")) == (2, {})


@pytest.mark.sqlite("pages that were freed, and the write-ahead log")
@pytest.mark.requirement("attack-44")
async def test_no_page_of_the_files_keeps_what_was_deleted(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    tokens = [(await client.tokens(browser))["refresh_token"] for _ in range(3)]
    seen: set[bytes] = set()
    for turn in range(40):
        current = turn % len(tokens)
        tokens[current] = (await client.refresh(tokens[current])).json()["refresh_token"]
        seen |= set(sealed(server.location).values())
        await registered(closing, server, redirect_uris=[f"http://localhost/{turn}"])
    assert len(seen) == 40
    server.clock.advance(31)
    await until_none(server.location)
    end = time.monotonic() + 12
    while left := {text for text in seen if text in stored(server)}:
        assert time.monotonic() < end, f"{len(left)} of {len(seen)} are still in the files"
        await asyncio.sleep(0.5)


@pytest.mark.requirement("attack-45", "attack-46")
async def test_repetitions_within_the_window_are_their_own_event_and_bounded(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    first = await client.tokens(browser)
    second = (await client.refresh(first["refresh_token"])).json()
    before = len(audited(server))
    for _ in range(64):
        reply = await client.refresh(first["refresh_token"])
        assert reply.status_code == 200, reply.text
        assert reply.json()["refresh_token"] == second["refresh_token"]
    events = audited(server)[before:]
    assert {event[:3] for event in events} == {("token.replayed", "success", client.client_id)}
    assert len(events) == 64
    for _ in range(2):
        assert_error(await client.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert {event[:3] for event in audited(server)[before + 64 :]} == {("token.replayed", "failure", client.client_id)}
    # Who has the successor goes on.
    assert (await client.refresh(second["refresh_token"])).status_code == 200
