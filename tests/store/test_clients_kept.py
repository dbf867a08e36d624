"""Clients that are kept in memory: what another process changes about them is seen with its next look."""

from dataclasses import replace

import pytest

from oauth_server.core.clients import Clients
from oauth_server.core.revocation import SPREAD_SECONDS, RevocationFilter
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.store import Store
from oauth_server.store.verbs import clients
from tests.support.clock import ManualClock
from tests.support.stored import NOW, client


async def test_what_another_process_changes_about_a_client_is_seen(
    pair: tuple[Store, Store], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    looks = RevocationFilter(here, clock, ManualClock())
    await looks.refresh()
    known = Clients(here, clock, looks)
    first = client("c", registration_token_hash=b"1")
    configured = client("own", source="configured")
    await there.write(clients.add, first)
    await there.write(clients.configure, configured, NOW, NOW)
    await looks.refresh()
    assert await known.recall("c") == first
    assert await known.recall("own") == configured

    renamed = replace(first, name="Another", registration_token_hash=b"2")
    await there.write(clients.replace, renamed, b"1", ())
    assert await known.recall("c") == first  # from memory
    assert await known.find("c") == renamed
    await looks.refresh()
    assert await known.recall("c") == renamed
    assert await known.recall("own") == configured
    await there.write(clients.configure, replace(configured, name="Another"), NOW, NOW)
    await looks.refresh()
    found = await known.recall("own")
    assert found is not None
    assert found.name == "Another"
    await there.write(clients.remove, "c", NOW)
    await looks.refresh()
    assert await known.recall("c") is None

    assert await known.recall("own") is not None
    monkeypatch.setattr(here, "answers", False)  # where nobody can learn of changes, memory says nothing

    async def fail(*_: object) -> None:
        raise StoreUnavailableError("no answer")

    monkeypatch.setattr(here, "read", fail)
    with pytest.raises(StoreUnavailableError):
        await known.recall("own")


async def test_one_that_may_have_ended_unused_is_looked_up_again(store: Store, clock: ManualClock) -> None:
    looks = RevocationFilter(store, clock, ManualClock())
    await looks.refresh()
    known = Clients(store, clock, looks)
    await store.write(clients.add, client("c", unused_until=clock() + 10))
    assert await known.recall("c") is not None
    await store.write(clients.add, client("d", unused_until=clock() + 10))
    assert await known.recall("d") is not None
    await store.write(clients.use, "d", clock())
    clock.advance(11)
    assert await known.recall("c") is None
    assert await known.recall("d") is not None


async def test_memory_counts_for_no_longer_than_a_change_may_take_to_arrive(
    pair: tuple[Store, Store], clock: ManualClock
) -> None:
    here, there = pair
    steady = ManualClock()
    looks = RevocationFilter(here, clock, steady)
    await looks.refresh()
    known = Clients(here, clock, looks)
    old = client("c", registration_token_hash=b"1", secret_hash=b"old")
    await there.write(clients.add, old)
    await looks.refresh()
    assert await known.recall("c") == old
    changed = replace(old, registration_token_hash=b"2", secret_hash=b"new")
    await there.write(clients.replace, changed, b"1", ())
    steady.advance(SPREAD_SECONDS)
    assert await known.recall("c") == old
    steady.advance(0.01)  # no look succeeded meanwhile: they fail, or take long
    assert await known.recall("c") == changed
