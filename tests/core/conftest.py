"""What the rules are tested on: an empty store on SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_server.core.revocation import RevocationFilter
from oauth_server.core.users import Users
from oauth_server.store.store import Store
from tests.support.clock import ManualClock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of its own for each test."""
    found = Store(f"sqlite:///{tmp_path}/oauth.db")
    yield found
    found.close()


@pytest.fixture
def users(store: Store, clock: ManualClock) -> Users:
    """The people of that store."""
    return Users(store, RevocationFilter(store, clock), clock)
