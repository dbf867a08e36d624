"""The store of FastMCP's session state, of which this server has none: any worker may answer the next request."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, SupportsFloat

_Found = dict[str, Any] | None


class NoState:
    """Holds nothing, and says so to whoever would keep something (`AsyncKeyValue` of py-key-value).

    FastMCP asks it at every call which tools the client hid from itself; its own store takes ten times as long.
    """

    async def get(self, key: str, *, collection: str | None = None) -> _Found:  # noqa: ARG002
        """Find nothing."""
        return None

    async def ttl(self, key: str, *, collection: str | None = None) -> tuple[_Found, float | None]:  # noqa: ARG002
        """Find nothing."""
        return None, None

    async def get_many(self, keys: Sequence[str], *, collection: str | None = None) -> list[_Found]:  # noqa: ARG002
        """Find nothing."""
        return [None] * len(keys)

    async def ttl_many(
        self,
        keys: Sequence[str],
        *,
        collection: str | None = None,  # noqa: ARG002
    ) -> list[tuple[_Found, float | None]]:
        """Find nothing."""
        return [(None, None)] * len(keys)

    async def put(
        self, key: str, value: Mapping[str, Any], *, collection: str | None = None, ttl: SupportsFloat | None = None
    ) -> None:
        """Refuse."""
        del key, value, collection, ttl
        _refuse()

    async def put_many(
        self,
        keys: Sequence[str],
        values: Sequence[Mapping[str, Any]],
        *,
        collection: str | None = None,
        ttl: SupportsFloat | None = None,
    ) -> None:
        """Refuse."""
        del keys, values, collection, ttl
        _refuse()

    async def delete(self, key: str, *, collection: str | None = None) -> bool:  # noqa: ARG002
        """Find nothing to delete."""
        return False

    async def delete_many(self, keys: Sequence[str], *, collection: str | None = None) -> int:  # noqa: ARG002
        """Find nothing to delete."""
        return 0


def _refuse() -> NoReturn:
    raise RuntimeError("this server keeps no session state: every request stands alone, and any worker may answer it")
