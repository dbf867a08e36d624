"""A clock that tests move by hand."""

import time


class ManualClock:
    """Starts at the present, so that clients with a clock of their own agree with the server."""

    def __init__(self, now: float | None = None) -> None:
        self.now = float(int(time.time())) if now is None else now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


async def at_once(seconds: float) -> None:
    """A sleep that takes no time."""
