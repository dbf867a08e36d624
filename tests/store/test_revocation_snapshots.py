"""What commits while another process looks for revocations is seen by this look or by the next."""

import time
from typing import Any

import pytest
from sqlalchemy import event

from oauth_server.core.revocation import RevocationFilter
from oauth_server.store.records import Revocation
from oauth_server.store.store import Store
from oauth_server.store.verbs import revocations


@pytest.mark.requirement("attack-64")
async def test_a_revocation_that_commits_between_two_statements_of_a_look_is_not_lost(
    pair: tuple[Store, Store],
) -> None:
    store, other = pair
    found = RevocationFilter(store, time.time)
    await found.refresh()
    committed: list[str] = []

    def between(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT") and not committed:
            committed.append(statement)
            now = time.time()
            with other._write_engine.begin() as connection:
                revocations.revoke(connection, [Revocation("grant", "g", now, now + 60)])

    event.listen(store._read_engine, "after_cursor_execute", between)
    await found.refresh()
    assert committed
    await found.refresh()
    assert found.suspects((("grant", "g"),))
