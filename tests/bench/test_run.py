"""bench/run.py measures what it says, ends with its servers, and is spoiled by one wrong answer."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.program import ROOT

RUN = (sys.executable, "bench/run.py")
TINY = ("--rounds", "1", "--share", "0.01")


def run(*arguments: str, code: str = "") -> "subprocess.CompletedProcess[str]":
    """Run the benchmark as a process; with `code` done to it before."""
    changed = (sys.executable, "-c", f"import sys; from bench import run; {code}; sys.exit(run.main())")
    command = (*(changed if code else RUN), *arguments)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_a_run_tells_what_each_server_used_for_each_kind_of_work(tmp_path: Path) -> None:
    ended = run("--only", "304", "401", *TINY, "--json", str(tmp_path / "found.json"))
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in found["rows"]] == ["304 for If-None-Match", "401 without a token"]
    for row in found["rows"]:
        assert row["units"] == 30
        assert len(row["columns"]) == 2
        for cell in row["columns"].values():
            assert 0.001 < cell["cpu_ms"][0] < 100
            assert 0 < cell["p50_ms"] <= cell["p99_ms"]
            assert 0 < cell["generator_share"] < 1
    cells = found["rows"][1]["columns"]
    measured = {one["what"]: one for one in found["targets"] if one["measured"] is not None}
    told = measured["401 without a token: this server / FastMCP, in-memory provider"]
    us, other = (cells[name]["cpu_ms"][0] for name in ("this server", "FastMCP, in-memory provider"))
    assert told["measured"] == pytest.approx(us / other, rel=0.02)
    assert told["reached"] is (told["measured"] <= 1)
    assert "401 without a token: this server" in ended.stdout


def test_a_wrong_answer_spoils_the_run() -> None:
    row = "Row('metadata', 'metadata', (), 100, {'bare ASGI': 'asgi'})"
    ended = run(*TINY, "--only", "metadata", code=f"from bench.measuring import Row; run.ROWS = ({row},)")
    assert ended.returncode == 1
    assert ended.stderr.startswith("The run is spoiled: bare ASGI, metadata: ")
    assert len(ended.stderr.splitlines()) == 1


def test_what_is_no_kind_of_work_is_a_mistake_of_the_operator() -> None:
    ended = run("--only", "nothing of that name")
    assert ended.returncode == 2
    assert "'nothing of that name'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_servers_end_with_a_run_that_is_told_to_end() -> None:
    with subprocess.Popen(
        [*RUN, "--only", "304"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as begun:
        children: list[psutil.Process] = []
        while len(children) < 2:
            assert begun.poll() is None
            children = psutil.Process(begun.pid).children()
        begun.terminate()
        _, said = begun.communicate(timeout=30)
    assert begun.returncode == 1
    assert said == b"Ended before the end.\n"
    assert not psutil.wait_procs(children, timeout=10)[1]
