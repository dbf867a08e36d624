"""The figures as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.rows import COLUMNS, noise


def show_row(row: Mapping[str, Any]) -> str:
    """A row: one line for each server."""
    lines = [f"\n{row['name']}  ({row['rounds']} rounds of {row['units']})"]
    lines.append(f"  {'':30}{'CPU ms':>8}{'a second':>10}{'p50 ms':>8}{'p99 ms':>8}{'generator':>11}")
    for column in sorted(row["columns"], key=COLUMNS.index):
        cell = row["columns"][column]
        if "missing" in cell:
            lines.append(f"  {column:30}  not measured: {cell['missing']}")
            continue
        figures = f"{cell['cpu_ms_median']:8.3f}{cell['rate_median']:10.0f}{cell['p50_ms']:8.2f}{cell['p99_ms']:8.2f}"
        lines.append(f"  {column:30}{figures}{cell['generator_share']:11.0%}")
    found = noise(row)
    if found is not None:
        lines.append(f"  a server against itself: median {found[0]:.3f}, at most {found[1]:.3f} away from 1")
    return "\n".join(lines)


def verdict(target: Mapping[str, Any]) -> str:
    """The word for a target."""
    return {True: "reached", False: "MISSED", None: "not measured"}[target["reached"]]


def show_targets(targets: Sequence[Mapping[str, Any]]) -> str:
    """One line for each target."""
    lines = ["\nTargets (the median of the ratios of each round)"]
    for one in targets:
        if one["measured"] is not None:
            figures = f"{one['measured']:>8.3f} of {one['bound']:<8g}"
            lines.append(f"  {one['target']}. {one['what']:75}{figures}{verdict(one)}")
    lines.append(f"  not measured: {sum(one['measured'] is None for one in targets)}")
    return "\n".join(lines)


def show_figures(found: Any) -> str:
    """Named figures, one on a line; what is a list was shown while it was measured."""
    if not isinstance(found, Mapping):
        return ""
    return "\n".join(f"  {name:30}{value:12,.3f}" for name, value in found.items())
