"""PostgreSQL stopped, silent, slow, restarted, cut off in a transaction, out of connections, read-only."""

import asyncio
import signal
import time

import psycopg
import pytest

from oauth_server.core.revocation import TRUSTED_SECONDS
from oauth_server.store import store as store_module
from tests.outages.conftest import Scene


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> float:
    """The store gives up after two seconds instead of ten, which tests/endurance/outages.py waits for."""
    monkeypatch.setattr(store_module, "ANSWER_SECONDS", 2.0)
    return 2.0


async def test_while_postgresql_is_stopped_tokens_verify_and_everything_else_says_when_to_come_back(
    scene: Scene,
) -> None:
    await scene.proxy.refuse()
    assert await scene.witness.health() == (200, 503)
    await scene.witness.everything_else_is_unavailable()
    assert scene.witness.seconds < 3
    await scene.witness.tokens_verify()
    await scene.proxy.listen()
    assert await scene.witness.recovered() < 3


@pytest.mark.requirement("attack-64")
async def test_a_minute_without_the_store_ends_the_trust_in_what_is_remembered(scene: Scene) -> None:
    await scene.proxy.refuse()
    revoked = scene.server.services.revoked
    scene.steady.advance(TRUSTED_SECONDS - 1)
    await scene.witness.tokens_verify()
    scene.steady.advance(2)
    await scene.witness.no_token_verifies()
    form = {"token": scene.witness.tokens["access_token"]}
    bearer = scene.witness.bearer
    assert (await scene.witness.client.http.post("/oauth/introspect", data=form, headers=bearer)).status_code == 503
    assert revoked.failure is None  # it still looks: nothing that a new start could mend
    assert await scene.witness.health() == (200, 503)
    await scene.proxy.listen()
    await scene.witness.recovered()
    assert revoked.age < 1


async def test_a_silent_postgresql_keeps_nobody_waiting_longer_than_stated(scene: Scene, hurried: float) -> None:
    scene.proxy.swallow()
    await scene.witness.everything_else_is_unavailable()
    assert scene.witness.seconds < hurried + 2
    # Who comes later does not wait for what others wait for already.
    await scene.witness.everything_else_is_unavailable()
    assert scene.witness.seconds < hurried + 1
    began = time.monotonic()
    await scene.witness.tokens_verify()
    assert time.monotonic() - began < 1
    assert await scene.witness.health() == (200, 503)
    scene.proxy.flow()
    scene.proxy.drop()
    await scene.witness.recovered()


async def test_a_slow_postgresql_is_waited_for(scene: Scene) -> None:
    scene.proxy.delay = 0.1
    try:
        began = time.monotonic()
        await scene.witness.recovered()
        assert time.monotonic() - began < 10
        assert await scene.witness.health() == (200, 200)
    finally:
        scene.proxy.delay = 0.0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_a_restart_of_postgresql_is_noticed_by_no_client(scene: Scene, how: signal.Signals) -> None:
    await asyncio.to_thread(scene.postgres.stop, how)
    await asyncio.to_thread(scene.postgres.start)
    # Every connection of the pool is dead by now, and the first request that meets one succeeds all the same.
    reply = await scene.witness.client.refresh(scene.witness.tokens["refresh_token"])
    assert reply.status_code == 200, reply.text
    scene.witness.tokens = reply.json()
    await scene.witness.recovered()


async def test_connections_that_died_unseen_are_replaced_without_an_error(scene: Scene) -> None:
    http = scene.witness.client.http
    for _ in range(3):
        await asyncio.gather(*(http.get("/readyz") for _ in range(12)))  # fills the pool
        scene.proxy.drop()
        assert [reply.status_code for reply in await asyncio.gather(*(http.get("/readyz") for _ in range(12)))] == [
            200
        ] * 12


async def test_a_refresh_whose_commit_was_not_answered_is_repeated_within_the_grace(scene: Scene) -> None:
    presented = scene.witness.tokens["refresh_token"]
    for _ in range(10):
        scene.proxy.cut_after = b"COMMIT"
        cut = await scene.witness.client.refresh(presented)
        if cut.status_code != 200:
            break
        presented = cut.json()["refresh_token"]  # a look for revocations, which commits as well, came first
    # Nobody knows whether it took place, so it is not run again behind the client's back.
    assert (cut.status_code, cut.json()["error"], cut.headers["retry-after"]) == (503, "temporarily_unavailable", "5")
    reply = await scene.witness.client.refresh(presented)
    assert reply.status_code == 200, reply.text
    scene.witness.tokens = reply.json()
    await scene.witness.recovered()


async def test_a_read_whose_commit_was_not_answered_is_repeated_and_not_noticed(scene: Scene) -> None:
    for _ in range(5):
        scene.proxy.cut_after = b"COMMIT"  # a look for revocations may meet it first
        reply = await scene.witness.client.http.get("/oauth/userinfo", headers=scene.witness.bearer)
        assert reply.status_code == 200, reply.text
        assert scene.proxy.cut_after == b""


async def test_a_connection_cut_before_the_commit_costs_nothing_and_is_not_noticed(scene: Scene) -> None:
    scene.proxy.cut_after = b"FOR UPDATE OF grants"
    reply = await scene.witness.client.refresh(scene.witness.tokens["refresh_token"])
    assert reply.status_code == 200, reply.text
    assert scene.proxy.cut_after == b""
    scene.witness.tokens = reply.json()
    await scene.witness.recovered()


async def test_while_postgresql_has_no_connection_left_requests_are_unavailable(scene: Scene) -> None:
    taken: list[psycopg.Connection[object]] = []
    await scene.proxy.refuse()
    while len(taken) < 200:
        try:
            taken.append(await asyncio.to_thread(psycopg.connect, scene.postgres.url()))
        except psycopg.OperationalError:
            break  # not even the reserve for superusers is left
    await scene.proxy.listen()
    try:
        assert await scene.witness.health() == (200, 503)
        await scene.witness.everything_else_is_unavailable()
        await scene.witness.tokens_verify()
    finally:
        for connection in taken:
            connection.close()
    await scene.witness.recovered()


async def test_a_primary_that_became_read_only_is_left_and_found_again(scene: Scene) -> None:
    name = scene.proxy.url.rpartition("/")[2]
    before = scene.proxy.connections
    scene.postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    scene.proxy.drop()
    reply = await scene.witness.client.refresh(scene.witness.tokens["refresh_token"])
    assert (reply.status_code, reply.json()["error"]) == (503, "temporarily_unavailable")
    await scene.witness.tokens_verify()
    scene.postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    # The connections that refuse to write are left, so this one is new.
    reply = await scene.witness.client.refresh(scene.witness.tokens["refresh_token"])
    assert reply.status_code == 200, reply.text
    scene.witness.tokens = reply.json()
    assert scene.proxy.connections > before
