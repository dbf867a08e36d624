"""The security page: each promise names tests, and each test that it names exists."""

import ast
import re
from functools import cache

from tests.support.program import ROOT

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PROMISES = PAGE.partition("## What it promises")[2].partition("## What it does not promise")[0]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def _rows() -> list[list[str]]:
    """The cells of each row of the tables, without their heads."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PROMISES.splitlines() if line[:1] == "|"]
    return [row for row in rows if row[0] != "Promise" and not set(row[0]) <= {"-"}]


@cache
def _functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_promise_names_its_tests() -> None:
    rows = _rows()
    assert len(rows) > 40
    assert [row for row in rows if len(row) != 2 or not NAMED.search(row[1])] == []


def test_each_test_that_the_page_names_exists() -> None:
    named = NAMED.findall(PAGE)
    assert PAGE.count("`tests/") == len(named), "a name that is no path of a test"
    absent = [path for path, _ in named if not (ROOT / path).is_file()]
    assert absent == []
    assert [f"{path}::{name}" for path, name in named if name and name not in _functions(path)] == []
