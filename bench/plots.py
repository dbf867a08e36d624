"""The plots of RESULTS.md as SVG, the same bytes for the same figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.processes import UnmeasurableError


def _axes(count: int, titles: Sequence[str]) -> tuple[Any, Any]:
    try:
        import matplotlib as mpl  # noqa: PLC0415 - in the group `bench`, which few need
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise UnmeasurableError("matplotlib is not installed: uv run --group bench …") from None
    mpl.rcParams |= {"svg.hashsalt": "bench", "svg.fonttype": "none", "font.family": "sans-serif", "axes.grid": True}
    figure = Figure(figsize=(5 * count, 3.5), layout="constrained")
    axes = figure.subplots(1, count)
    for one, title in zip(axes, titles, strict=True):
        one.set_title(title)
        one.set_xscale("log", base=2 if "connections" in title else 10)
    return figure, axes


def _saved(figure: Any, file: Path) -> None:
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def concurrency(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Refreshes a second, and their 99th percentile, against the number of connections."""
    figure, (left, right) = _axes(2, ("refreshes a second, by connections", "p99 in ms, by connections"))
    for server in dict.fromkeys(row["server"] for row in rows):
        chosen = [row for row in rows if row["server"] == server]
        at = [row["connections"] for row in chosen]
        left.plot(at, [row["rate_median"] for row in chosen], marker="o", label=server)
        right.plot(at, [row["p99_ms"] for row in chosen], marker="o", label=server)
    for one in (left, right):
        one.set_xticks(at, [str(number) for number in at])
        one.set_ylim(0, 1.1 * one.get_ylim()[1])
    left.legend()
    _saved(figure, file)


def growth(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """CPU of each kind of work against the number of refresh tokens in the store, a line for each engine."""
    works = list(dict.fromkeys(row["work"] for row in rows))
    figure, axes = _axes(len(works), [f"{work}, CPU ms by refresh tokens" for work in works])
    for one, work in zip(axes, works, strict=True):
        for engine in dict.fromkeys(row["engine"] for row in rows):
            chosen = [row for row in rows if (row["engine"], row["work"]) == (engine, work)]
            at = [row["refresh_tokens"] for row in chosen]
            one.plot(at, [row["full_cpu_ms"] for row in chosen], marker="o", label=engine)
            one.plot(at, [row["empty_cpu_ms"] for row in chosen], linestyle=":", label=f"{engine}, empty store")
        one.set_ylim(0, 1.1 * one.get_ylim()[1])
    axes[0].legend()
    _saved(figure, file)
