"""What the command line works with: the server itself, and the store that a running one may have open as well."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from oauth_server.app.serve import serve
from oauth_server.core.settings import Settings, SettingsError, load
from oauth_server.core.settings_rules import masked_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oauth_server.core.administration import Administration
    from oauth_server.store.store import Store

__all__ = ["administration", "recorded_issuer", "serve"]


@asynccontextmanager
async def administration() -> AsyncIterator[Administration]:
    """The operator's side of the configured store, which a server must have made; raises SettingsError.

    Creates no owner and no key, and leaves the recorded issuer as it is.
    """
    from oauth_server.app.compose import ISSUER  # noqa: PLC0415 - brings SQLAlchemy, which `serve` must not wait for
    from oauth_server.core.administration import Administration  # noqa: PLC0415
    from oauth_server.store.verbs import meta  # noqa: PLC0415

    settings = load()
    async with _store(settings) as store:
        if store is None:
            problem = f"there is no database at {masked_url(settings.database_url)}"
            raise SettingsError("MCP_OAUTH_DATABASE_URL", problem, "a database that a server has made: start it once")
        yield Administration(settings, await store.read(meta.get, ISSUER), store, time.time)


async def recorded_issuer(settings: Settings) -> str | None:
    """The issuer under which a server last served HTTP with this store; None where none has. Creates no database."""
    from oauth_server.app.compose import ISSUER  # noqa: PLC0415
    from oauth_server.store.verbs import meta  # noqa: PLC0415

    async with _store(settings) as store:
        return None if store is None else await store.read(meta.get, ISSUER)


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store | None]:
    """The store; None where its file does not exist, since only a server creates it."""
    import anyio.to_thread  # noqa: PLC0415

    from oauth_server.app.compose import open_store  # noqa: PLC0415
    from oauth_server.store.engines import parse_url  # noqa: PLC0415

    url = parse_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():  # noqa: ASYNC240 - before any work
        yield None
        return
    store = await open_store(settings)
    try:
        yield store
    finally:
        await anyio.to_thread.run_sync(store.close)
