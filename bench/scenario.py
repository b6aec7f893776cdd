"""A scenario: a load, its options, and its goals."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.servers import Server
from chatd.bench.own_server import RAISED_LIMITS

Figures = dict[str, float]
# The part of a load that is run before it is measured: a compiler at run time needs it.
WARM_UP_SHARE = 0.25
MIN_WARM_UP = 3


def warm_up(count: int) -> int:
    return max(MIN_WARM_UP, int(count * WARM_UP_SHARE))


@dataclass(frozen=True)
class Goal:
    """Bounds of a figure of chatd, or of its ratio to that of a peer."""

    figure: str
    ratio: float | None = None
    most: float | None = None
    least: float | None = None
    peer: str = "socket.io"

    def __str__(self) -> str:
        if self.ratio is not None:
            return f"{self.figure}: at most {self.ratio:.2f} of {self.peer}"
        return (
            f"{self.figure}: at most {self.most:g}"
            if self.most is not None
            else f"{self.figure}: at least {self.least:g}"
        )


@dataclass(frozen=True)
class Bench:
    """A scenario and its goals.

    `figure`: the main figure. `goals` depend on the options. `has_peers`: whether peers can do the same.
    """

    name: str
    title: str
    figure: str
    run: Callable[[Server, argparse.Namespace, Callable[[], None]], Figures]
    steps: Callable[[argparse.Namespace], int]
    goals: Callable[[argparse.Namespace], list[Goal]] = lambda options: []
    options: Mapping[str, int] = field(default_factory=dict)
    # Options without a value, with their help.
    flags: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=lambda: RAISED_LIMITS)
    has_peers: bool = True
