"""Metrics of subsystems. Each is declared once, in `Subsystem.metrics`, and read when a snapshot of the node is taken.

From there it goes to Prometheus (`operations/prometheus.py`) and to `chatd top`. The table of docs/metrics.md is made
of the declarations (`app/documents.py`): a name ends with its unit, and `meaning` is a text for operators.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from chatd.app.context import Node
from chatd.core.histogram import BOUNDS, Histogram

Labels = tuple[str, ...]
NO_LABELS: Labels = ()


class Numbers(NamedTuple):
    """A gauge or, if the name ends with `_total`, a counter; with its values by label.

    Labels in `known` are shown as zero before they have a value, so that the first event is an increase.
    """

    name: str
    meaning: str
    read: Callable[[Node], Mapping[Labels, float]]
    labels: Labels = ()
    known: tuple[Labels, ...] = ()


class Durations(NamedTuple):
    """A histogram, or several by label. `bounds`: of its buckets, in seconds."""

    name: str
    meaning: str
    read: Callable[[Node], Mapping[Labels, Histogram]]
    labels: Labels = ()
    bounds: tuple[float, ...] = BOUNDS


Metric = Numbers | Durations


def number(name: str, meaning: str, read: Callable[[Node], float]) -> Numbers:
    """One value without labels."""
    return Numbers(name, meaning, lambda node: {NO_LABELS: read(node)})


def numbers_by(
    label: str, name: str, meaning: str, known: Iterable[str], read: Callable[[Node], Mapping[str, float]]
) -> Numbers:
    """Values by one label."""
    return Numbers(
        name,
        meaning,
        lambda node: {(key,): n for key, n in read(node).items()},
        (label,),
        tuple((key,) for key in known),
    )


def duration(name: str, meaning: str, read: Callable[[Node], Histogram]) -> Durations:
    """One histogram without labels."""
    return Durations(name, meaning, lambda node: {NO_LABELS: read(node)})


class Metrics(tuple[Metric, ...]):
    """The metrics of all subsystems. Found in `Node.services`."""

    __slots__ = ()
