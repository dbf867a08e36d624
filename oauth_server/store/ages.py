"""How old something is, by clocks that differ a little, or that were set back since."""

from typing import Final

CLOCK_SKEW: Final = 60  # seconds by which the clocks of machines that work together may differ


def within(now: float, since: float, seconds: float) -> bool:
    """Whether at most `seconds` have passed; what lies further ahead than clocks differ has no known age."""
    return -CLOCK_SKEW <= now - since <= seconds
