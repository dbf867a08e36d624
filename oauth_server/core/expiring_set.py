"""A set of 64-bit hashes, each with its end: twelve bytes for one of them, plus a sixteenth."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Hashable, Iterable
from itertools import accumulate
from operator import add
from typing import Final

BITS: Final = 12  # of a hash choose the stretch of the order in which it is looked for
STRETCHES: Final = 1 << BITS
PARTS: Final = 64  # of equally many stretches: what is tidied at once
NEWEST: Final = 4096  # entries at least are collected before they are put in order
SHARE: Final = 256  # or one to so many of those that are: the longer the order, the dearer it is to change
_SHIFT: Final = 64 - BITS
_LATEST: Final = 2**32 - 1


class ExpiringSet:
    """What was added, until its end: held as its hash, so that something else with the same hash is held too.

    Ends are seconds since some moment before all of them, rounded up. The newest entries lie in a dict, the others in
    order in two arrays, in which a hash is found by its first bits and a short search. A dict of all takes ten times
    as much, many small pieces twice as much, since what they leave when they grow or go serves nobody else.
    """

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self._hashes, self._ends = array("q"), array("I")
        self._starts = array("I", bytes(4 * (STRETCHES + 1)))  # of each stretch, and the end of the last
        self._part = 0

    def __len__(self) -> int:
        return len(self._newest) + len(self._hashes)

    def add(self, item: Hashable, until: float) -> None:
        """Hold this until then, also where it was held until another time."""
        number, end = hash(item), min(max(0, math.ceil(until)), _LATEST)
        at = self._place(number)
        if at < len(self._hashes) and self._hashes[at] == number:
            self._ends[at] = end
            return
        self._newest[number] = end
        if len(self._newest) >= max(NEWEST, len(self._hashes) // SHARE):
            self._put_in_order()

    def holds_any(self, items: Iterable[Hashable]) -> bool:
        """Whether one of these is held, or something with the same hash."""
        newest, hashes, starts = self._newest, self._hashes, self._starts
        if not hashes:
            return not newest.keys().isdisjoint(map(hash, items))
        for item in items:
            number = hash(item)
            stretch = (number >> _SHIFT) + STRETCHES // 2
            end = starts[stretch + 1]
            at = bisect_left(hashes, number, starts[stretch], end)
            if (at < end and hashes[at] == number) or number in newest:
                return True
        return False

    def forget(self, now: float) -> None:
        """Drop what ended by `now`: of the newest, and of the next of PARTS parts of the others."""
        if self._newest and min(self._newest.values()) <= now:
            self._newest = {number: end for number, end in self._newest.items() if end > now}
        first = self._part * STRETCHES // PARTS
        self._part = (self._part + 1) % PARTS
        start, stop = self._starts[first], self._starts[first + STRETCHES // PARTS]
        ends = self._ends[start:stop]
        if not ends or min(ends) > now:
            return
        self._count((number, -1) for number, end in zip(self._hashes[start:stop], ends, strict=True) if end <= now)
        kept = [at for at, end in enumerate(ends, start) if end > now]
        self._hashes[start:stop] = array("q", [self._hashes[at] for at in kept])
        self._ends[start:stop] = array("I", [self._ends[at] for at in kept])

    def _place(self, number: int) -> int:
        stretch = _stretch(number)
        return bisect_left(self._hashes, number, self._starts[stretch], self._starts[stretch + 1])

    def _put_in_order(self) -> None:
        # From the last to the first, so that what lies between two new ones moves once, in one piece.
        new = sorted(self._newest.items())
        places = [self._place(number) for number, _ in new]
        for table, values in ((self._hashes, [number for number, _ in new]), (self._ends, [end for _, end in new])):
            stop = len(table)
            table.extend(values)
            for ahead, at in zip(range(len(new) - 1, -1, -1), reversed(places), strict=True):
                table[at + ahead + 1 : stop + ahead + 1] = table[at:stop]
                table[at + ahead] = values[ahead]
                stop = at
        self._count((number, 1) for number, _ in new)
        self._newest = {}

    def _count(self, changes: Iterable[tuple[int, int]]) -> None:
        """Let each stretch begin where it does after these hashes came (1) or left (-1)."""
        more = [0] * STRETCHES
        for number, change in changes:
            more[_stretch(number)] += change
        self._starts[1:] = array("I", map(add, self._starts[1:], accumulate(more)))


def _stretch(number: int) -> int:
    return (number >> _SHIFT) + STRETCHES // 2
