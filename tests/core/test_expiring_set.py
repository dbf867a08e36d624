"""The compact set agrees with a plain dict, whatever is added, forgotten and looked for, in whatever order."""

import math
import random
import tracemalloc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from oauth_server.core import expiring_set
from oauth_server.core.expiring_set import PARTS, ExpiringSet


class Hashed:
    """Something whose hash is chosen."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number


NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([-(2**63), 2**63 - 1, 0, 1, 2, -2, -3]),
    # Those that lie where one stretch ends and another begins.
    st.builds(lambda stretch, by: (stretch << 52) + by, st.integers(-2047, 2047), st.integers(-2, 2)),
).filter(lambda number: number != -1)  # which Python makes -2 of
LIFETIMES = st.one_of(st.floats(0.1, 100), st.integers(1, 100))


class Machine(RuleBasedStateMachine):
    """What a dict would hold, and what the set does."""

    @initialize(newest=st.sampled_from([1, 2, 5, 4096]))
    def begin(self, newest: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(expiring_set, "NEWEST", newest)
        self.found, self.model, self.now = ExpiringSet(), dict[int, int](), 0.0
        self.forgotten: set[int] = set()

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    @rule(numbers=st.lists(NUMBERS, max_size=20), lifetime=LIFETIMES)
    def add(self, numbers: list[int], lifetime: float) -> None:
        for number in numbers:
            self.found.add(Hashed(number), self.now + lifetime)
            self.model[number] = math.ceil(self.now + lifetime)

    @rule(pick=st.integers(0), lifetime=LIFETIMES)
    def add_again(self, pick: int, lifetime: float) -> None:
        if self.model:
            self.add([sorted(self.model)[pick % len(self.model)]], lifetime)

    @rule(seconds=st.one_of(st.floats(0, 60), st.integers(0, 60)), parts=st.integers(1, 2 * PARTS))
    def forget(self, seconds: float, parts: int) -> None:
        self.now += seconds
        for _ in range(parts):
            self.found.forget(self.now)
        if parts >= PARTS:
            self.model = {number: end for number, end in self.model.items() if end > self.now}
            assert len(self.found) == len(self.model)

    @rule(numbers=st.lists(NUMBERS, max_size=5))
    def look_for_others(self, numbers: list[int]) -> None:
        others = [Hashed(number) for number in numbers if number not in self.model]
        assert not self.found.holds_any(others)

    @invariant()
    def what_lives_is_held(self) -> None:
        if not hasattr(self, "found"):
            return
        live = [number for number, end in self.model.items() if end > self.now]
        assert all(self.found.holds_any([Hashed(number)]) for number in live)
        assert all(self.found.holds_any([Hashed(5), Hashed(number)]) for number in live)
        assert len(live) <= len(self.found) <= len(self.model)
        held = [number for number, end in self.model.items() if self.found.holds_any([Hashed(number)])]
        assert len(held) == len(self.found)


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAgreesWithADict = Machine.TestCase


def test_an_entry_takes_at_most_sixteen_bytes() -> None:
    numbers = [random.getrandbits(64) - 2**63 for _ in range(100_000)]
    tracemalloc.start()
    found = ExpiringSet()
    before, _ = tracemalloc.get_traced_memory()
    for number in numbers:
        found.add(Hashed(number), 100)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    newest = 100 * expiring_set.NEWEST  # a dict, and its numbers
    assert len(found) == len(set(numbers))
    assert (after - before - newest) / len(numbers) < 16


@pytest.mark.parametrize("newest", [1, 4096])
def test_ends_before_and_after_all_that_fit_are_the_first_and_the_last(
    newest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring_set, "NEWEST", newest)
    found = ExpiringSet()
    found.add("past", -5.0)
    found.add("never", 1e12)
    for _ in range(PARTS):
        found.forget(0.0)
    assert not found.holds_any(["past"])
    for _ in range(PARTS):
        found.forget(2.0**32 - 2)
    assert found.holds_any(["never"])
