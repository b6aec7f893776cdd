"""Run rounds in alternation, and print figures with their goals."""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.processes import pin, raise_file_limit
from bench.servers import Chatd, Server, SocketIO, settle
from chatd.bench.own_server import RAISED_LIMITS

Figures = dict[str, float]
err = Console(stderr=True)


@dataclass
class Goal:
    """The maximum of a figure, or of its ratio to the peer's figure."""

    figure: str
    ratio: float | None = None
    most: float | None = None


@dataclass
class Bench:
    """A scenario and its goals."""

    name: str
    run: Callable[[Server, argparse.Namespace, Callable[[], None]], Figures]
    steps: Callable[[argparse.Namespace], int]
    goals: list[Goal]
    options: dict[str, int] = field(default_factory=dict)
    # Options without a value, with their help.
    flags: dict[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=lambda: RAISED_LIMITS)


def main(bench: Bench) -> None:
    """Parse the command line, run the rounds, print."""
    parser = argparse.ArgumentParser(description=bench.name)
    parser.add_argument("--peer", action="store_true", help="run Socket.IO 4 on Node in alternation, for the ratio")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    for name, default in bench.options.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, text in bench.flags.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    options = parser.parse_args()
    raise_file_limit()
    results = rounds(bench, options)
    misses = judge(bench, results)
    if options.json:
        print(json.dumps({"bench": bench.name, "results": results, "missed": misses}, indent=1))
    else:
        show(bench, results, misses)
    raise SystemExit(1 if misses and options.check else 0)


def rounds(bench: Bench, options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Run the servers as A B A B, so that other load on the machine affects both."""
    chatd = Chatd(bench.limits)
    servers: list[Server] = [chatd]
    try:
        if options.peer:
            servers.append(SocketIO(chatd))
        pin(os.getpid(), 1)
        results: dict[str, list[Figures]] = {server.name: [] for server in servers}
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=err, transient=True) as progress:
            for number in range(options.rounds):
                for server in servers:
                    task = progress.add_task(f"{bench.name} {server.name} {number + 1}", total=bench.steps(options))
                    settle()
                    results[server.name].append(bench.run(server, options, lambda task=task: progress.advance(task)))
                    progress.remove_task(task)
        return results
    finally:
        for server in reversed(servers):
            server.close()


def median(rounds_: list[Figures], figure: str) -> float:
    return statistics.median(round_[figure] for round_ in rounds_)


def ratios(results: dict[str, list[Figures]], figure: str) -> list[float]:
    """The ratio of each round."""
    pairs = zip(results["chatd"], results.get("socket.io", []), strict=False)
    return [ours[figure] / theirs[figure] for ours, theirs in pairs if theirs.get(figure)]


def judge(bench: Bench, results: dict[str, list[Figures]]) -> list[str]:
    """The goals that were missed."""
    missed = []
    for goal in bench.goals:
        found = ratios(results, goal.figure)
        if goal.ratio is not None and found and statistics.median(found) > goal.ratio:
            missed.append(f"{goal.figure}: {statistics.median(found):.2f} of the peer, goal {goal.ratio:.2f}")
        if goal.most is not None and median(results["chatd"], goal.figure) > goal.most:
            missed.append(f"{goal.figure}: {median(results['chatd'], goal.figure):.1f}, goal {goal.most:.1f}")
    return missed


def show(bench: Bench, results: dict[str, list[Figures]], missed: list[str]) -> None:
    table = Table("figure (median of the rounds)", *results, "ratio (least to most)", title=bench.name)
    for figure in results["chatd"][0]:
        found = ratios(results, figure)
        spread = f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})" if found else ""
        table.add_row(figure, *(f"{median(rounds_, figure):.1f}" for rounds_ in results.values()), spread)
    console = Console()
    console.print(table)
    for goal in bench.goals:
        wanted = f"at most {goal.ratio:.2f} of the peer" if goal.ratio is not None else f"at most {goal.most:.0f}"
        console.print(f"goal: {goal.figure} {wanted}")
    for miss in missed:
        console.print(f"[yellow]missed: {miss}[/]")


def percentiles(times: list[float]) -> Figures:
    """Latencies in milliseconds."""
    if len(times) < 2:
        return {}
    cuts = statistics.quantiles(times, n=100)
    return {f"latency p{place} ms": cuts[place - 1] * 1000 for place in (50, 95, 99)}
