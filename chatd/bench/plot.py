"""A picture of the latencies of a run: over time, and by percentile."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from chatd.bench.result import Result

# Percentiles of the second chart, as the share of operations that are slower.
SLOWER = (0.5, 0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.0025, 0.001)
INCHES, DPI = (10.0, 8.0), 120


class NoPlots(Exception):
    """matplotlib is not installed."""


def new_figure() -> Any:
    """An empty figure. Raises NoPlots."""
    try:
        module = import_module("matplotlib.figure")
    except ImportError:
        raise NoPlots("--plot needs matplotlib: pip install 'chatd[bench]'") from None
    return module.Figure(figsize=INCHES, layout="constrained")


def write_plot(result: Result, path: Path) -> None:
    """Write a picture; its format follows from the name, such as PNG or SVG. Raises NoPlots, OSError, ValueError."""
    figure = new_figure()
    over_time, by_percentile = figure.subplots(2, 1)
    figure.suptitle(f"chatd bench {result.name}: {described(result)}")
    for name, latencies in result.latencies.items():
        in_ms = [latency * 1000 for latency in latencies]
        if planned := result.planned.get(name):
            over_time.plot(planned, in_ms, ".", markersize=2, label=name)
        shares, values = tail(in_ms)
        if shares:
            by_percentile.plot(shares, values, marker="o", markersize=3, label=name)
    over_time.set(xlabel="planned time of the operation, s", ylabel="latency, ms")
    by_percentile.set(xlabel="percentile", ylabel="latency, ms", xscale="log")
    by_percentile.set_xticks(SLOWER, [f"p{100 - share * 100:g}" for share in SLOWER])
    by_percentile.set_xlim(SLOWER[0], SLOWER[-1])
    for axes in (over_time, by_percentile):
        axes.grid(visible=True, alpha=0.3)
        # A logarithmic axis needs values.
        if axes.lines:
            axes.set_yscale("log")
            axes.legend()
    figure.savefig(path, dpi=DPI)


def tail(latencies: Sequence[float]) -> tuple[list[float], list[float]]:
    """The percentiles that this many latencies can show, and their values."""
    ordered = sorted(latencies)
    shares = [share for share in SLOWER if share * len(ordered) >= 1]
    return shares, [ordered[len(ordered) - int(share * len(ordered))] for share in shares]


def described(result: Result) -> str:
    options = result.options
    return f"{options['rate']:g} operations/s, {options['connections']} connections, {options['seconds']:g} s"
