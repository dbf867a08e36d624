"""docs/requirements.md, made from the marks on the tests: `uv run --group test pytest -n 0 --collect-only -q --write-requirements`."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "requirements.md"
TABLE = ROOT / "tests" / "requirements.json"
SECTIONS = {
    "AS": "Authorization server",
    "RS": "Resource server",
    "TR": "Transport, revision 2026-07-28",
    "PX": "Authorization servers that pass a person on to a third party",
    "attack": "Attacks and faults",
    "regression": "Known flaws of servers of this kind",
}
HEAD = """\
# Requirements and the tests that prove them

Made from the `requirement` marks of the tests by `uv run --group test pytest -n 0 --collect-only -q --write-requirements`; do not edit.

A is revision 2025-03-26 of the MCP specification, B 2025-06-18, C 2025-11-25, D 2026-07-28. M: MUST, S: SHOULD,
Y: MAY, d: described without a keyword, page: only on the best-practice page. A requirement without a test is open,
unless the last column gives the reason why it needs none.
"""


def known() -> dict[str, dict[str, str]]:
    """The table of requirements by id."""
    return {row["id"]: row for row in json.loads(TABLE.read_text(encoding="utf-8"))}


def marks(items: list[pytest.Item]) -> dict[str, list[str]]:
    """The tests by requirement id; parametrised cases count once."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for item in sorted(items, key=lambda item: item.path):  # they run in another order
        name = item.nodeid.partition("[")[0]
        for mark in item.iter_markers("requirement"):
            for requirement in mark.args:
                found[requirement][name] = None
    return {requirement: list(tests) for requirement, tests in found.items()}


def render(items: list[pytest.Item]) -> str:
    """The page."""
    tests, lines = marks(items), [HEAD]
    for prefix, title in SECTIONS.items():
        rows = [row for key, row in known().items() if key.rpartition("-")[0] == prefix]
        with_levels = any(set(row) & set("ABCD") for row in rows)
        lines += [f"\n## {title}\n", _line(["Id", "Requirement", *("ABCD" if with_levels else ""), "Proved by"])]
        lines.append(_line(["---"] * (7 if with_levels else 3)))
        for row in rows:
            levels = [row.get(letter, "") for letter in "ABCD"] if with_levels else []
            lines.append(_line([row["id"], row["text"], *levels, _proof(row, tests.get(row["id"], []))]))
    return "\n".join(lines) + "\n"


def _proof(row: dict[str, str], tests: list[str]) -> str:
    if tests:
        shown = ", ".join(f"`{name}`" for name in tests[:3])
        return shown + (f" and {len(tests) - 3} more" if len(tests) > 3 else "")
    return row.get("reason", "**open**")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
