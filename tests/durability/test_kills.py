"""The server is killed in the midst of its work, and holds every word it gave. The long version: tests/endurance/kills.py."""

from pathlib import Path

import pytest

from tests.durability.conftest import Database
from tests.support.crashes.harness import crashes


@pytest.mark.requirement("attack-74")
@pytest.mark.timeout(240)
async def test_nothing_that_was_acknowledged_is_lost_and_nothing_is_given_twice(
    database: Database, tmp_path: Path
) -> None:
    async with crashes(database.url, tmp_path) as running:
        await running.round(0.6)
        await running.round(0, aim="token.refreshed")
        await running.round(0, aim="code.redeemed")
        if database.postgres is not None:
            await running.round(0.6, crash=database.postgres.crash)
        await running.check_log()
        journal = running.world.journal
    assert journal.violations == []
    # That it was about something: rights were given and taken back, and each was asked for afterwards.
    assert journal.facts > 50
    for event in ("client.registered", "consent", "code.redeemed", "token.refreshed", "token.issued"):
        assert journal.acknowledged[event] > 0, journal.acknowledged
