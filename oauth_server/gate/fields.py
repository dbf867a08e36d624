"""Header fields as an ASGI scope has them: names in lower case, values in bytes (ASGI specification, HTTP)."""

from collections.abc import Mapping
from typing import Any


def values(scope: Mapping[str, Any], name: bytes) -> list[str]:
    """The values of all fields of this name, in order; for who asks for a few, far cheaper than Starlette's Headers."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def first(scope: Mapping[str, Any], name: bytes) -> str | None:
    """The value of the first field of this name, None without one."""
    found = values(scope, name)
    return found[0] if found else None
