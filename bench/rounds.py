"""Run rounds on several servers in alternation, and compare their figures."""

import argparse
import os
import random
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.peers import databases, peers
from bench.processes import pin
from bench.scenario import Bench, Figures, Goal
from bench.servers import Chatd, Server, ServerFailed, settle

# The second chatd of an A/A pair: its ratio to the first shows the noise.
AGAIN = "chatd again"
err = Console(stderr=True)


@dataclass(frozen=True)
class Spread:
    """A median with its range."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Results:
    """The figures of each round by server; chatd is the first."""

    rounds: dict[str, list[Figures]]

    @property
    def figures(self) -> list[str]:
        return list(self.rounds["chatd"][0])

    def spread(self, server: str, figure: str) -> Spread | None:
        """None if the server has no such figure."""
        values = [round_[figure] for round_ in self.rounds[server] if figure in round_]
        return Spread.of(values) if values else None

    def ratio(self, peer: str, figure: str) -> Spread | None:
        """chatd to the peer, round by round: the two of one round had the same other load on the machine."""
        pairs = zip(self.rounds["chatd"], self.rounds.get(peer, ()), strict=False)
        found = [ours[figure] / theirs[figure] for ours, theirs in pairs if theirs.get(figure) and figure in ours]
        return Spread.of(found) if found else None


@contextmanager
def opened(names: list[str], limits: Mapping[str, float], *, twice: bool = False) -> Iterator[list[Server]]:
    """chatd and these peers. `twice`: with a second chatd. Raises NotInstalled, ServerFailed."""
    with ExitStack() as stack:
        servers: list[Server] = []
        for name in ("chatd", AGAIN) if twice else ("chatd",):
            chatd = Chatd(limits, name)
            stack.callback(chatd.close)
            servers.append(chatd)
        if names:
            servers += stack.enter_context(peers(names, stack.enter_context(databases())))
        cores = os.sched_getaffinity(0)
        stack.callback(os.sched_setaffinity, 0, cores)
        pin(os.getpid(), 1)
        yield servers


def run_rounds(bench: Bench, options: argparse.Namespace, servers: list[Server]) -> Results:
    """Every round runs all servers in random order, so that other load on the machine affects all of them.

    Raises ServerFailed.
    """
    results = Results({server.name: [] for server in servers})
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        for number in range(options.rounds):
            for server in random.sample(servers, len(servers)):
                task = progress.add_task(f"{bench.name} {server.name} {number + 1}", total=bench.steps(options))
                settle()
                results.rounds[server.name].append(one_round(bench, server, options, stepper(progress, task)))
                progress.remove_task(task)
    return results


def one_round(bench: Bench, server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    try:
        return bench.run(server, options, step)
    except (ConnectionError, TimeoutError) as error:
        raise ServerFailed(f"{server.name}: {error}") from error


def stepper(progress: Progress, task: "object") -> Callable[[], None]:
    return lambda: progress.advance(task)  # type: ignore[arg-type]


def measured(results: Results, goal: Goal) -> Spread | None:
    """What the goal is about; None if it was not measured."""
    if goal.ratio is not None:
        return results.ratio(goal.peer, goal.figure)
    return results.spread("chatd", goal.figure)


def is_met(goal: Goal, value: float) -> bool:
    most = goal.most if goal.ratio is None else goal.ratio
    return (most is None or value <= most) and (goal.least is None or value >= goal.least)


def missed(goals: list[Goal], results: Results) -> list[str]:
    """The goals that were missed, by the medians."""
    found = [(goal, measured(results, goal)) for goal in goals]
    return [
        f"{goal}, measured {spread.median:.2f}"
        for goal, spread in found
        if spread is not None and not is_met(goal, spread.median)
    ]
