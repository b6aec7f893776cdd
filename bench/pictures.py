"""Pictures of a run: the figure of each round, by server."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from bench.results import Case

INCHES_WIDE, INCHES_PER_SERVER = 7.5, 0.34
OWN, OTHERS = "#c2410c", "#475569"


def write_pictures(cases: list[Case], folder: Path) -> dict[str, str]:
    """Write an SVG for each case with several servers; returns the paths from the parent of `folder`, by case."""
    paths = {}
    for case in cases:
        if len(case.results.rounds) > 1:
            path = folder / f"{case.name.replace(', ', '-').replace(' ', '-')}.svg"
            write_picture(case, path)
            paths[case.name] = f"{folder.name}/{path.name}"
    return paths


def write_picture(case: Case, path: Path) -> None:
    """One row for each server: a dot for each round, a line at the median."""
    rounds = case.results.rounds
    height = 1.1 + INCHES_PER_SERVER * len(rounds)
    figure = Figure(figsize=(INCHES_WIDE, height), layout="constrained")
    axes = figure.subplots()
    for row, name in enumerate(rounds):
        values = [figures[case.figure] for figures in rounds[name]]
        spread = case.results.spread(name, case.figure)
        color = OWN if name.startswith("chatd") else OTHERS
        axes.plot(values, [row] * len(values), "o", markersize=4, alpha=0.6, color=color)
        if spread is not None:
            axes.plot([spread.median] * 2, [row - 0.3, row + 0.3], "-", linewidth=2, color=color)
    axes.set_yticks(range(len(rounds)), list(rounds))
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set(title=case.title, xlabel=case.figure)
    axes.grid(visible=True, axis="x", alpha=0.3)
    # Text stays text, and a second run of the same figures writes the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "chatd"}):
        figure.savefig(path, metadata={"Date": None})
