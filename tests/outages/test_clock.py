"""The wall clock jumps by an hour or a day, or differs from other machines' by a minute."""

import logging

import pytest
from sqlalchemy import insert

from oauth_server.core.housekeeping import BATCH, REST, Housekeeping
from oauth_server.core.revocation import RevocationFilter
from oauth_server.store.records import Bounds, Bucket, Client, Full, Issue, Refusal, Revocation
from oauth_server.store.schema import failed_attempts
from oauth_server.store.store import Store
from oauth_server.store.verbs import grants, limits, registrations, revocations
from tests.support.clock import ManualClock, at_once
from tests.support.mcp_http import token_for
from tests.support.server import Running
from tests.support.stored import NOW, client, code, granted, people, redeem, rotate, sha

pytestmark = pytest.mark.requirement("attack-75")
HOUR, DAY = 3600.0, 86_400.0


@pytest.mark.parametrize("age", [61, 180, 250])
@pytest.mark.parametrize("back", [300.0, 400.0, HOUR, DAY])
async def test_no_code_is_redeemed_ten_minutes_after_it_was_issued(sqlite_store: Store, age: int, back: float) -> None:
    clock = ManualClock(NOW + age)
    keeping = Housekeeping(sqlite_store, clock, sleep=at_once)
    await people(sqlite_store)
    await sqlite_store.write(grants.add_code, code(expires_at=NOW + 60))
    await keeping.round()
    for real in range(age + 60, 600, 60):
        clock.now = NOW + real - back
        await keeping.round()
    for real in (600, max(600, back)):  # in the middle of the minute that the clock shows for the second time
        assert isinstance(await redeem(sqlite_store, now=NOW + real - back), Refusal)


async def test_a_code_from_the_future_is_refused_as_expired(sqlite_store: Store) -> None:
    await people(sqlite_store)
    await sqlite_store.write(grants.add_code, code(expires_at=NOW + 60))
    assert await redeem(sqlite_store, now=NOW - 61) == Refusal("expired", code().grant_id)
    # Another machine's clock may be a minute behind.
    assert isinstance(await redeem(sqlite_store, now=NOW - 59), Issue)


@pytest.mark.parametrize(("later", "stolen"), [(-59, False), (4, False), (-HOUR, True), (-DAY, True), (HOUR, True)])
async def test_a_replay_in_the_past_is_a_theft(sqlite_store: Store, later: float, stolen: bool) -> None:
    await people(sqlite_store)
    await granted(sqlite_store)
    replay = await redeem(sqlite_store, now=NOW + later)
    assert replay == Refusal("replayed", code().grant_id, grant_revoked=stolen)


@pytest.mark.parametrize(("later", "graced"), [(-59, True), (29, True), (-HOUR, False), (-DAY, False), (HOUR, False)])
async def test_the_grace_window_does_not_reach_into_the_past(sqlite_store: Store, later: float, graced: bool) -> None:
    await people(sqlite_store)
    await granted(sqlite_store)
    assert isinstance(await rotate(sqlite_store), Issue)
    again = await rotate(sqlite_store, new="r3", now=NOW + later)
    assert isinstance(again, Issue) is graced
    if not graced:
        assert again == Refusal("reused", code().grant_id, grant_revoked=True)


async def test_nobody_is_locked_out_until_the_clock_shows_the_same_time_again(store: Store) -> None:
    bucket = Bucket("account", sha("account"), 3, 60.0)
    for _ in range(3):
        await store.write(limits.take, (bucket,), NOW)
    assert await store.write(limits.take, (bucket,), NOW) == Full(bucket, NOW + 60)
    then = NOW - DAY
    assert await store.read(limits.full, (bucket,), then) is None
    # One attempt is free, and the next a minute later: a jump gives no guesses away.
    assert await store.write(limits.take, (bucket,), then) == (bucket,)
    assert await store.read(limits.full, (bucket,), then) == Full(bucket, then + 60)
    assert await store.write(limits.take, (bucket,), then) == Full(bucket, then + 60)


async def test_a_level_within_the_skew_of_another_machine_stands(sqlite_store: Store) -> None:
    bucket = Bucket("account", sha("account"), 3, 60.0)
    await sqlite_store.write(lambda c: c.execute(insert(failed_attempts).values(key=bucket.key, empty_at=NOW + 180)))
    assert await sqlite_store.read(limits.full, (bucket,), NOW - 59) == Full(bucket, NOW + 60)


async def test_registrations_of_the_future_keep_nobody_from_registering(sqlite_store: Store) -> None:
    bounds = Bounds(from_source=2, window=HOUR, unused=10)

    async def register(name: str, now: float) -> object:
        fresh = client(name, registered_from="192.0.2.1", created_at=now, unused_until=now + DAY)
        return await sqlite_store.write(registrations.register, fresh, bounds, sha("192.0.2.1"), now)

    assert [isinstance(await register(name, NOW), Client) for name in ("a", "b", "c")] == [True, True, False]
    assert isinstance(await register("d", NOW - DAY), Client)


async def test_what_was_revoked_is_remembered_through_a_leap_forward_and_back(sqlite_store: Store) -> None:
    clock, steady, entry = ManualClock(NOW), ManualClock(0.0), ("token", "t")
    found = RevocationFilter(sqlite_store, clock, steady)
    await sqlite_store.write(revocations.revoke, [Revocation(*entry, NOW, NOW + HOUR)])
    await found.refresh()
    clock.advance(DAY)
    steady.advance(60)
    found._entries.forget(steady())
    clock.advance(-DAY)
    assert found.suspects((entry,))
    steady.advance(HOUR)
    found._entries.forget(steady())
    assert not found.suspects((entry,))


async def test_housekeeping_rests_for_an_hour_after_a_leap_forward_and_not_after_one_back(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("oauth_server"), "propagate", True)
    clock, steady, left = ManualClock(NOW), ManualClock(0.0), []

    class DoneError(Exception):
        pass

    script = iter([0, DAY, 0, -DAY, 0, DAY, REST, 0])  # by how much the clock leaps before each round

    async def minute(seconds: float) -> None:
        if seconds < 1:
            return  # the pause between two batches
        left.append((await sqlite_store.read(revocations.find, [("token", "t")])) != [])
        jump = next(script, None)
        if jump is None:
            raise DoneError
        steady.advance(60 + (jump if jump == REST else 0))  # the hour of rest passes by both clocks
        clock.advance(60 + jump)

    await sqlite_store.write(revocations.revoke, [Revocation("token", "t", NOW, NOW + HOUR)])
    with pytest.raises(DoneError):
        await Housekeeping(sqlite_store, clock, sleep=minute, steady=steady).run()
    assert left[:7] == [True] * 7
    assert left[-1] is False
    assert caplog.text.count("leapt 86400 s forward") == 2
    assert "set back by 86400 s" in caplog.text


@pytest.mark.parametrize("leap_in_pause", [1, 5, 11])
async def test_housekeeping_deletes_nothing_after_a_leap_forward_in_the_middle_of_a_round(
    sqlite_store: Store, leap_in_pause: int
) -> None:
    clock, steady, pauses = ManualClock(NOW), ManualClock(0.0), []

    class DoneError(Exception):
        pass

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        steady.advance(seconds)
        if seconds < 1:
            pauses.append(seconds)
            clock.advance(DAY if len(pauses) == leap_in_pause else 0)
        elif len(pauses) >= leap_in_pause and steady() > REST - 120:  # the rounds of nearly an hour have rested
            raise DoneError

    old = [Revocation("token", f"old{n}", 1.0, NOW - DAY) for n in range(BATCH + 1)]
    live = [Revocation("token", f"live{n}", NOW, NOW + HOUR) for n in range(3)]
    await sqlite_store.write(revocations.revoke, [*old, *live])
    with pytest.raises(DoneError):
        await Housekeeping(sqlite_store, clock, sleep=sleep, steady=steady).run()
    assert len(pauses) == leap_in_pause  # not one batch more
    left = await sqlite_store.read(revocations.find, [("token", entry.value) for entry in live])
    assert len(left) == len(live)


@pytest.mark.parametrize(("ahead", "status"), [(60, 200), (-60, 200), (61, 401), (62, 401)])
async def test_a_token_of_a_machine_whose_clock_differs_by_a_minute_is_good(
    server: Running, ahead: float, status: int
) -> None:
    server.clock.advance(ahead)
    bearer = {"Authorization": f"Bearer {await token_for(server, 'mcp:read')}"}
    server.clock.advance(-ahead)
    async with server.client() as http:
        assert (await http.get("/oauth/test", headers=bearer)).status_code == status


async def test_no_leeway_prolongs_a_token_whether_it_was_seen_before_or_not(server: Running) -> None:
    seen, unseen = [{"Authorization": f"Bearer {await token_for(server, 'mcp:read')}"} for _ in range(2)]
    async with server.client() as http:
        server.clock.advance(3599)
        assert (await http.get("/oauth/test", headers=seen)).status_code == 200
        server.clock.advance(1)
        for bearer in (seen, unseen):
            assert (await http.get("/oauth/test", headers=bearer)).status_code == 401
