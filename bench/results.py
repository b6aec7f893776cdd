"""The page about a run of all comparisons."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.rounds import AGAIN, Results, Spread, is_met, measured
from bench.scenario import Goal

INTRODUCTION = """\
# Results

Written by `make bench`. [README.md](README.md) explains what is measured, and what is not. Each ratio is that of chatd
to another server, as the median of the rounds with their range: below 1.00 chatd uses less. "chatd again" is a second
chatd: its ratio would be 1.00 on a machine without noise, and a ratio within that range is no difference.
"""


@dataclass(frozen=True)
class Case:
    """A scenario that was measured. `figure`: the main figure."""

    name: str
    title: str
    command: str
    figure: str
    results: Results
    goals: list[Goal]


@dataclass(frozen=True)
class Page:
    """`about`: the machine. `peers`: what each server is."""

    about: Mapping[str, str]
    versions: Mapping[str, str]
    cases: list[Case]
    peers: Mapping[str, str]


def write_page(page: Page, pictures: Mapping[str, str], path: Path) -> None:
    """`pictures`: their paths beside the page, by the name of the case."""
    parts = [INTRODUCTION, table(("", ""), list((page.about | {"date": time.strftime("%Y-%m-%d")}).items()))]
    parts += ["## Versions\n", table(("", ""), list(page.versions.items()))]
    parts += ["## Goals\n", table(("", "goal", "measured", ""), goal_rows(page.cases))]
    parts += ["## CPU compared with other servers\n", table(*ratio_table(page))]
    for case in page.cases:
        parts += [section(case, pictures.get(case.name))]
    path.write_text("\n".join(parts))


def goal_rows(cases: list[Case]) -> list[tuple[str, ...]]:
    rows = []
    for case in cases:
        for goal in case.goals:
            found = measured(case.results, goal)
            if found is not None:
                met = "met" if is_met(goal, found.median) else "missed"
                rows.append((case.name, str(goal), shown(found, goal.ratio is not None), met))
    return rows


def ratio_table(page: Page) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A row for each server, and a column for each case that has peers."""
    cases = [case for case in page.cases if len(case.results.rounds) > 1]
    servers = list(dict.fromkeys(name for case in cases for name in case.results.rounds if name != "chatd"))
    rows = []
    for name in servers:
        ratios = [case.results.ratio(name, case.figure) for case in cases]
        about = page.peers.get(name, "the noise" if name == AGAIN else name)
        rows.append((name, about, *(shown(ratio, True) if ratio else "" for ratio in ratios)))
    return ("chatd to", "", *(case.name for case in cases)), rows


def section(case: Case, picture: str | None) -> str:
    results = case.results
    rows = []
    for name in results.rounds:
        spreads = [results.spread(name, figure) for figure in results.figures]
        rows.append((name, *(shown(spread, False) if spread else "" for spread in spreads)))
    parts = [f"## {case.name}: {case.title}\n", f"    {case.command}\n", table(("", *results.figures), rows)]
    if picture:
        parts.append(f"![{case.figure} of each round]({picture})\n")
    return "\n".join(parts)


def shown(spread: Spread, is_ratio: bool) -> str:
    values = (spread.median, spread.least, spread.most)
    form = ".2f" if is_ratio or max(values) < 10 else ".1f" if max(values) < 100 else ".0f"
    median, least, most = (f"{value:{form}}" for value in values)
    return f"{median} ({least} to {most})"


def table(heads: tuple[str, ...], rows: "list[tuple[str, ...]] | list[tuple[str, str]]") -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
