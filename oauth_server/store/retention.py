"""Retention of the audit log: for how long events are kept, which the log itself says, and which may have left."""

import math
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

_SAID: Final = re.compile(r"([0-9]{1,6}) days(?:, ([0-9]{1,6}) before)?", re.ASCII)
_DAY: Final = 86_400


class Retention(NamedTuple):
    """From some event on, events are kept for so many days, 0 for ever.

    `before` is for how many they were kept until then; None where the log did not say.
    """

    days: int
    before: int | None = None

    def __str__(self) -> str:
        return f"{self.days} days" if self.before is None else f"{self.days} days, {self.before} before"

    @classmethod
    def parse(cls, detail: str) -> "Retention | None":
        """Read what str() writes; None for anything else."""
        found = _SAID.fullmatch(detail)
        if found is None:
            return None
        return cls(int(found[1]), None if found[2] is None else int(found[2]))


def left_by(said: Sequence[tuple[float, Retention]], now: float) -> float:
    """The newest time (Unix seconds) of an event that may have left by `now`; minus infinity where none may.

    `said` has what the log says, with the time since when it holds, the oldest first. Under each retention, events left
    that were old enough when it ended.
    """
    ends = [*(at for at, _ in said), now]
    held = [(end, one.days) for end, (_, one) in zip(ends[1:], said, strict=True)]
    if said:
        held.append((ends[0], said[0][1].before or 0))
    return max((end - days * _DAY for end, days in held if days), default=-math.inf)
