"""bench/RESULTS.md is written from the figures, and what others wrote there stays."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import rendering
from bench.measuring import Cell
from bench.rows import AGAIN, MEMORY, OFF, OIDC, US, judged

PAGE = Path(rendering.__file__).with_name("RESULTS.md")


def cell(*cpu_ms: float) -> dict[str, Any]:
    """What a server did of a row."""
    return {
        "cpu_ms": list(cpu_ms),
        "cpu_ms_median": sorted(cpu_ms)[len(cpu_ms) // 2],
        "rate_median": 1234.5,
        "p50_ms": 1.5,
        "p99_ms": 9.5,
        "generator_share": 0.25,
    }


def result(name: str, columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A run that measured one row."""
    row = {"name": name, "units": 10, "rounds": 3, "columns": columns}
    machine = {"cores": 2, "cpu": "Some CPU", "memory_gib": 4, "kernel": "Linux 6", "filesystem": "ext4"}
    machine["load_before"] = 0.5
    return {
        "command": f"bench/run.py --only {name}",
        "connections": 16,
        "machine": machine,
        "versions": {"Python": "3.11"},
        "rows": [row],
        **more,
    }


REFRESH = {US: cell(0.5, 0.4, 0.9), MEMORY: cell(0.4, 0.4, 0.4), OIDC: {"missing": "npm is not installed"}}
CALL = {US: cell(1.0, 1.0, 1.0), OFF: cell(1.0, 2.0, 1.0), AGAIN: cell(1.0, 1.0, 1.0)}


def test_files_are_put_together_on_a_page_that_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(rendering, "PAGE", page)
    old = result("refresh with rotation", {US: cell(9.0)})
    new = result("refresh with rotation", REFRESH, start={"stdio ratio": 1.2, "HTTP ratio": 1.3, "--help": 0.1})
    call = result("tools/call, 2026-07-28", CALL)
    names = []
    for number, found in enumerate((old, new, call)):
        names.append(tmp_path / f"{number}.json")
        names[-1].write_text(json.dumps(found), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["rendering.py", *map(str, names)])
    assert rendering.main() == 0
    first = page.read_text(encoding="utf-8")
    assert "| refresh with rotation | 0.500 | 0.400 | not measured |" in first
    assert "| tools/call, 2026-07-28 | 1,234 | 1.50 | 9.50 | 25% | 1.000, at most 0.500 from 1 |" in first
    assert f"| 2 | refresh with rotation: {US} / {MEMORY} | 1.25 | 1.0 | MISSED |" in first
    assert f"| 1 | tools/call, 2026-07-28: {US} / {OFF} | 1.0 | 1.03 | reached |" in first
    assert "| 8 | stdio, to the first list of tools: this server / bare FastMCP | 1.2 | 1.25 | reached |" in first
    assert f": {US} / {OIDC} |" not in first
    assert "## What an audit costs" in first
    assert rendering.main() == 0
    assert page.read_text(encoding="utf-8") == first


def test_a_target_is_of_this_server_and_not_of_the_machine() -> None:
    row = {"work": "refresh", "engine": "sqlite", "ratio": 1.2}
    control = {"work": "two bare servers", "engine": "none", "ratio": 1.3, "control": True}
    judgements = [one for one in judged(result("x", {}, workers=[row, control])) if one["target"] == 7]
    assert [(one["measured"], one["reached"]) for one in judgements] == [(1.2, False)]
    alone, both = Cell(), Cell()
    alone.add(Cell([2.0], [100.0], [9.0], 0.1))
    both.add(Cell([2.0], [60.0], [8.0], 0.1), Cell([3.0], [70.0], [7.0], 0.2))
    assert (alone.cpu_ms, alone.rate) == ([2.0], [100.0])
    assert (both.cpu_ms, both.rate, both.took, both.own) == ([2.5], [130.0], [8.0, 7.0], 0.2)
