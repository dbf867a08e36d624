"""Once means once, through two processes. The long version: tests/endurance/races.py."""

from pathlib import Path

import pytest

from tests.durability.conftest import Database
from tests.support.racing import races

MANY = 32


@pytest.mark.requirement("attack-32", "attack-45")
@pytest.mark.timeout(240)
async def test_of_many_at_once_one_wins_and_what_was_revoked_stays_so(database: Database, tmp_path: Path) -> None:
    async with races(database.url, tmp_path) as running:
        for _ in range(7):
            await running.redemptions(MANY)
            await running.refreshes(MANY)
        for _ in range(2):
            await running.refreshes_and_a_revocation(MANY)
            await running.registrations(MANY)
        assert running.violations == []


@pytest.mark.requirement("attack-44")
@pytest.mark.timeout(240)
async def test_without_a_grace_window_one_refresh_is_granted_and_the_reuse_ends_the_family(
    database: Database, tmp_path: Path
) -> None:
    async with races(database.url, tmp_path, grace=0) as running:
        for _ in range(4):
            await running.refreshes_without_grace(MANY)
        assert running.violations == []
