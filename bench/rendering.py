"""bench/RESULTS.md from the figures: `uv run --group bench bench/rendering.py FILE…` puts together what --json wrote.

Where several files hold the same row or section, the last one counts.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import plots
from bench.processes import UnmeasurableError
from bench.report import verdict
from bench.rows import AGAIN, COLUMNS, GATE, US, judged, noise

PAGE = Path(__file__).with_name("RESULTS.md")
BEGIN, END = "<!-- bench/run.py writes from here -->\n", "<!-- to here -->\n"
ORDER = ("micro", "hostile", "floor", "start", "commits", "memory")
TITLES = {
    "micro": "The gate by itself, µs of CPU",
    "hostile": "The worst client assertions before authentication, refused, ms of CPU (bench/hostile.py)",
    "floor": "What a refresh cannot do without, µs of CPU (bench/floor.py; a form POST of bare ASGI comes on top)",
    "start": "Start with an existing store, seconds",
    "commits": "The store under refreshes",
    "memory": "Resident memory, MiB",
}


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]


def merged(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One result of several runs on one machine."""
    found: dict[str, Any] = dict(runs[-1])
    found["commands"] = [run["command"] for run in runs]
    for run in runs:
        found |= {name: value for name, value in run.items() if name not in ("rows", "targets")}
    rows = {row["name"]: row for run in runs for row in run["rows"]}
    found["rows"] = list(rows.values())
    found["targets"] = judged(found)
    return found


def _cell(row: Mapping[str, Any], column: str, name: str, digits: int) -> str:
    cell = row["columns"].get(column)
    if cell is None:
        return ""
    return "not measured" if "missing" in cell else f"{cell[name]:,.{digits}f}"


def _costs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = [column for column in COLUMNS if column != AGAIN and any(column in row["columns"] for row in rows)]
    return table(
        ["CPU ms a request", *columns],
        ([row["name"], *(_cell(row, column, "cpu_ms_median", 3) for column in columns)] for row in rows),
    )


def _speeds(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    head = ["This server", "a second", "p50 ms", "p99 ms", "generator's share of a core", "a server against itself"]
    lines = []
    for row in rows:
        if US not in row["columns"]:
            continue
        found = noise(row)
        itself = "" if found is None else f"{found[0]:.3f}, at most {found[1]:.3f} from 1"
        share = max(cell.get("generator_share", 0) for cell in row["columns"].values())
        figures = (_cell(row, US, name, digits) for name, digits in (("rate_median", 0), ("p50_ms", 2), ("p99_ms", 2)))
        lines.append([row["name"], *figures, f"{share:.0%}", itself])
    return table(head, lines)


def _targets(found: Mapping[str, Any]) -> list[str]:
    rows = [one for one in found["targets"] if one["measured"] is not None]
    return table(
        ["Target", "What", "Measured", "At most", ""],
        ([one["target"], one["what"], one["measured"], one["bound"], verdict(one)] for one in rows),
    )


def _workers(row: Mapping[str, Any]) -> list[object]:
    cpu, rate = ([row[side][name] for side in ("one", "two")] for name in ("cpu_ms_median", "rate_median"))
    return [row["engine"], row["work"], *cpu, f"{row['ratio']:.3f}", *rate]


def _growth(row: Mapping[str, Any]) -> list[object]:
    names = ("empty_cpu_ms", "full_cpu_ms", "cpu_ratio", "empty_p99_ms", "full_p99_ms", "p99_ratio")
    return [row["engine"], f"{row['refresh_tokens']:,}", row["work"], *(f"{row[name]:.3f}" for name in names)]


def _sections(found: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for name in ORDER:
        if name in found:
            lines += ["", f"### {TITLES[name]}", ""]
            lines += table(["", ""], ([what, f"{value:,.3f}"] for what, value in found[name].items()))
    if found.get("concurrency"):
        lines += ["", "### Refreshes over more connections", "", "![](concurrency.svg)", ""]
        head = ["Server", "connections", "CPU ms", "a second", "p50 ms", "p99 ms"]
        names = ("server", "connections", "cpu_ms_median", "rate_median", "p50_ms", "p99_ms")
        lines += table(head, ([row[name] for name in names] for row in found["concurrency"]))
    if found.get("workers"):
        lines += ["", "### Two workers", ""]
        head = ["Engine", "Work", "CPU ms, one worker", "two", "ratio", "a second, one worker", "two"]
        lines += table(head, (_workers(row) for row in found["workers"]))
    if found.get("growth"):
        lines += ["", "### Cost against the size of the store", "", "![](growth.svg)", ""]
        head = ["Engine", "refresh tokens", "Work", "CPU ms, empty", "full", "ratio", "p99 ms, empty", "full", "ratio"]
        lines += table(head, (_growth(row) for row in found["growth"]))
    return lines


def render(found: Mapping[str, Any]) -> str:
    """The part of the page that stands for a run."""
    machine = found["machine"]
    gate = {row.name for row in GATE}
    what = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    head = (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, {machine['kernel']}; stores on "
        f"{machine['filesystem']}. {what}. Load average before the run: {machine['load_before']}."
    )
    how = (
        f"One process, {found['connections']} connections, the access log off, SQLite with `synchronous=FULL`, access "
        "tokens of ES256. Servers take turns; CPU is that of the server's processes by the clock of the kernel, in "
        "medians of the rounds. An authorization code is one unit of two requests: to authorize, and for the tokens."
    )
    commands = found.get("commands", [found["command"]])
    lines = ["## This server beside others", "", head, "", how, "", "```bash", *commands, "```", ""]
    for rows in ([row for row in found["rows"] if (row["name"] in gate) is inside] for inside in (False, True)):
        if rows:
            lines += [*_costs(rows), "", *_speeds(rows), ""]
    lines += ["### Targets", "", *_targets(found), *_sections(found), ""]
    return "\n".join(lines) + "\n"


def write(found: Mapping[str, Any]) -> None:
    """Write the page and its plots; what else stands on the page stays."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{render(found)}\n{END}{after}", encoding="utf-8")
    for name, plot in (("concurrency", plots.concurrency), ("growth", plots.growth)):
        if found.get(name):
            plot(found[name], PAGE.with_name(f"{name}.svg"))


def main() -> int:
    """Put the files together."""
    if len(sys.argv) == 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        write(merged([json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]))
    except UnmeasurableError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
