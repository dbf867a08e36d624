"""Output for people and for programs: aligned columns that no width cuts, and JSON of one object a line."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len

_GAP = "  "


def plain(text: str) -> str:
    """The text with control characters, line breaks and direction marks spelt out: strangers name their clients."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def say(text: str) -> None:
    """A line of the answer."""
    sys.stdout.write(f"{plain(text)}\n")


def remark(text: str) -> None:
    """A line about the answer, on stderr, where it does not disturb a pipe."""
    sys.stdout.flush()  # in their order on a terminal
    sys.stderr.write(f"{plain(text)}\n")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under their header. A line is as long as what it holds; empty cells are shown as a dash."""
    cells = [list(header), *([plain(cell) or "-" for cell in row] for row in rows)]
    widths = [max(cell_len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        say(_GAP.join(padded).rstrip())


def fields(values: Mapping[str, Any]) -> None:
    """One object as a name and its value on each line; a list has a line for each of its items."""
    width = max(cell_len(name) for name in values)
    for name, value in values.items():
        for number, item in enumerate(value if isinstance(value, list) else [value]):
            say(f"{'' if number else name:{width}}{_GAP}{item}")


def json_line(value: Any) -> None:
    """One JSON value on one line, in ASCII."""
    sys.stdout.write(json.dumps(value) + "\n")


def moment(at: float) -> str:
    """A time in Unix seconds as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
