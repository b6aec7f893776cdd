"""What subsystems measure. Each metric is declared once, in `Subsystem.metrics`; it is read when a snapshot of the node is taken.

From there it comes to Prometheus (`operations/prometheus.py`) and to `chatd top`. docs/metrics.md says what each one means.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from chatd.app.context import Node
from chatd.core.histogram import Histogram

Labels = tuple[str, ...]
NO_LABELS: Labels = ()


class Numbers(NamedTuple):
    """A gauge or, where the name ends with `_total`, a counter; with its values by their labels.

    Those in `known` are shown as zero before they have a value: a first event is an increase then.
    """

    name: str
    meaning: str
    read: Callable[[Node], Mapping[Labels, float]]
    labels: Labels = ()
    known: tuple[Labels, ...] = ()


class Durations(NamedTuple):
    """A histogram, or several by their labels."""

    name: str
    meaning: str
    read: Callable[[Node], Mapping[Labels, Histogram]]
    labels: Labels = ()


Metric = Numbers | Durations


def number(name: str, meaning: str, read: Callable[[Node], float]) -> Numbers:
    """One value without labels."""
    return Numbers(name, meaning, lambda node: {NO_LABELS: read(node)})


def numbers_by(label: str, name: str, meaning: str, known: Iterable[str], read: Callable[[Node], Mapping[str, float]]) -> Numbers:
    """Values by one label."""
    return Numbers(
        name, meaning, lambda node: {(key,): n for key, n in read(node).items()}, (label,), tuple((key,) for key in known)
    )


def duration(name: str, meaning: str, read: Callable[[Node], Histogram]) -> Durations:
    """One histogram without labels."""
    return Durations(name, meaning, lambda node: {NO_LABELS: read(node)})


class Metrics(tuple[Metric, ...]):
    """The metrics of all subsystems. Found in `Node.services`."""

    __slots__ = ()
