"""Values given on the command line, held against the rules of the core."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from oauth_server.core.settings_rules import RefusedError, SettingsError, quoted

T = TypeVar("T")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def given(name: str, rule: Callable[[str], T], value: str) -> T:
    """What a rule makes of the value of an option or argument; SettingsError names it."""
    try:
        return rule(value)
    except RefusedError as error:
        raise SettingsError(name, error.problem, error.accepted) from None


def span(value: str) -> int:
    """The seconds of `30m`, `12h` or `7d`."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", value)
    if found is None:
        raise RefusedError(f"{quoted(value)} is no span of time", "30m, 12h or 7d")
    return int(found[1]) * _UNITS[found[2]]


def since(value: str) -> float:
    """The Unix time of `30m`, `12h` or `7d` ago, or of a date or time (RFC 3339, UTC where no offset is given)."""
    if re.fullmatch(r"[0-9]{1,9}[smhd]", value):
        return time.time() - span(value)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise RefusedError(f"{quoted(value)} is no time", "30m, 12h, 7d, 2026-07-28 or 2026-07-28T14:05:00Z") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
