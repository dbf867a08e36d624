"""Media types in header fields."""

import hypothesis
import pytest
from hypothesis import strategies as st

from oauth_server.core.media_types import named, weight, weights


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([""], ""),
        ([", ,"], ""),
        (["a/b"], "a/b"),
        (["A/B ; x=1"], "a/b"),
        (["a/b, a/b;x=2", "a/b"], "a/b"),
        (['a/b; x="c/d, e\\", f"'], "a/b"),
        (["a/b, a/c"], ""),
        (["a/b", "a/c"], ""),
    ],
)
def test_one_type_is_named_however_often(values: list[str], expected: str) -> None:
    assert named(values) == expected


@pytest.mark.parametrize(
    ("values", "json", "stream"),
    [
        ([], 1, 1),
        (["*/*;q=0.3"], 0.3, 0.3),
        (["text/*;q=0.2, */*;q=0.1"], 0.1, 0.2),
        (["*/*, text/event-stream;q=0"], 1, 0),
        (["text/*;q=0, text/event-stream"], 0, 1),
        (["text/event-stream;q=0.1, text/event-stream;q=0.9"], 0, 0.9),
        (["text/event-stream;Q=0.5"], 0, 0.5),
        # What is no weight is none that lets anything pass.
        (["*/*;q=2", "text/event-stream;q=0.1234", "application/json;q=x"], 0, 0),
        (["application/json;q"], 0, 0),
    ],
)
def test_the_most_specific_range_counts(values: list[str], json: float, stream: float) -> None:
    ranges = weights(values)
    assert (weight(ranges, "application/json"), weight(ranges, "text/event-stream")) == (json, stream)


@hypothesis.given(st.lists(st.text(alphabet='ab/*,;=q"\\ 0.19', max_size=20), max_size=3))
def test_no_field_breaks_the_reading(values: list[str]) -> None:
    assert "," not in named(values)
    ranges = weights(values)
    assert all(0 <= found <= 1 for found in ranges.values())
    assert 0 <= weight(ranges, "a/b") <= 1
