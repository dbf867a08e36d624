"""What a refresh cannot do without, in microseconds of CPU: its statements with its share of a commit, its signature.

The statements are recorded while a store rotates refresh tokens, and run again by the driver alone on a copy of the
database. Reading the request, judging client and grant, and writing the answer come on top.
"""

import asyncio
import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import Connection, event

from bench.load import WrongAnswerError
from oauth_server.core.audit import event as audit_event
from oauth_server.store.engines import DURABLE
from oauth_server.store.records import Issue, NewRefresh
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, grants
from tests.support import stored

TOGETHER = 16  # refreshes in a commit, as many as there are connections
COMMITS = 20  # in a round
SIGNATURES = 200  # in a round
CLAIMS = 500  # bytes, about as many as an access token signs
Sent = tuple[str, Any, bool]  # statement, values, whether once for each of them


def _microseconds(work: Callable[[], object], units: int) -> float:
    """CPU for each of so many units that the work consists of."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / units * 1e6


async def _prepare(url: str) -> None:
    """A grant with a refresh token for each connection."""
    store = Store(url)
    await stored.people(store)
    for number in range(TOGETHER):
        await store.write(grants.add_code, stored.code(f"code {number}"))
        await stored.redeem(store, f"code {number}", f"{number}.0")
    await asyncio.to_thread(store.close)


async def _rotate(store: Store, number: int, turn: int) -> None:
    happened = audit_event(stored.NOW, "token.refreshed", "success", actor="alice", client_id="c1", detail="grant")
    after = stored.sha(f"{number}.{turn + 1}")
    issue = await store.write(
        audit.recorded,
        lambda _: happened,
        grants.rotate_refresh,
        token_hash=stored.sha(f"{number}.{turn}"),
        client_id="c1",
        scope=None,
        resource=None,
        now=stored.NOW,
        grace=30,
        replays=64,
        permitted=stored.PERMITTED,
        successor=NewRefresh(after, stored.NOW + 1000),
        sealed=after * 3,
        tokens_until=stored.NOW + 1000,
    )
    if not isinstance(issue, Issue):
        raise WrongAnswerError(f"a refresh was refused: {issue}")


async def _recorded(url: str, commits: int) -> list[Sent]:
    """All that a store sends for so many commits of refreshes."""
    store, found = Store(url), list[Sent]()
    assert store._writer is not None  # noqa: S101, SLF001 - SQLite has one
    engine = store._writer._engine  # noqa: SLF001

    def note(_: Connection, __: object, sql: str, values: Any, ___: object, many: bool) -> None:
        if not sql.startswith("PRAGMA"):  # of the checkpoints, which another thread makes meanwhile
            found.append((sql, values, many))

    event.listen(engine, "before_cursor_execute", note)
    for turn in range(commits):
        await asyncio.gather(*(_rotate(store, number, turn) for number in range(TOGETHER)))
    event.remove(engine, "before_cursor_execute", note)
    await asyncio.to_thread(store.close)
    return found


def _rounds(sent: list[Sent]) -> list[list[Sent]]:
    """What was sent, in pieces of so many commits."""
    rounds: list[list[Sent]] = [[]]
    commits = 0
    for one in sent:
        rounds[-1].append(one)
        commits += one[0] == "COMMIT"
        if one[0] == "COMMIT" and commits % COMMITS == 0:
            rounds.append([])
    return rounds[:-1]


def _again(path: Path, rounds: list[list[Sent]]) -> list[float]:
    """Send it by the driver alone; the microseconds of each refresh, by round."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in DURABLE:
        connection.execute(f"PRAGMA {pragma}")
    cursor = connection.cursor()

    def run(sent: list[Sent]) -> None:
        for sql, values, many in sent:
            if many:
                cursor.executemany(sql, values)
            else:
                cursor.execute(sql, values).fetchall()

    took = [_microseconds(lambda sent=sent: run(sent), COMMITS * TOGETHER) for sent in rounds]  # type: ignore[misc]
    used = connection.execute("SELECT count(*) FROM refresh_tokens WHERE used_at IS NOT NULL").fetchone()[0]
    connection.close()
    if used != len(rounds) * COMMITS * TOGETHER:
        raise WrongAnswerError(f"{used} refreshes were done again")
    return took


async def measure(rounds: int, folder: Path) -> dict[str, float]:
    """Medians of the rounds, in microseconds: statements and commit, signature."""
    first, again = folder / "floor.db", folder / "again.db"
    await _prepare(f"sqlite:///{first}")
    shutil.copy(first, again)
    took = _again(again, _rounds(await _recorded(f"sqlite:///{first}", rounds * COMMITS)))
    key, algorithm, claims = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(SHA256()), b"x" * CLAIMS
    signed = [
        _microseconds(lambda: [key.sign(claims, algorithm) for _ in range(SIGNATURES)], SIGNATURES)
        for _ in range(rounds)
    ]
    statements, signature = statistics.median(took), statistics.median(signed)
    return {f"statements, and a commit of {TOGETHER}": statements, "ES256": signature}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as own:
        print(json.dumps(asyncio.run(measure(9, Path(own))), indent=1))
