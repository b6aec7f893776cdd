"""Snapshots in the Prometheus text format. Subsystems declare their metrics, see `app/metrics.py`."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from chatd.app.metrics import Durations, Labels, Metric, Numbers
from chatd.core.histogram import Histogram
from chatd.operations.snapshot import Snapshot

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def exposition(metrics: Sequence[Metric], snapshots: Sequence[Snapshot], *, name_nodes: bool) -> bytes:
    """All metrics of these nodes; with `name_nodes` each has a label `node`."""
    registry = CollectorRegistry()
    registry.register(Snapshots(metrics, snapshots, name_nodes))
    return generate_latest(registry)


class Snapshots(Collector):
    """Takes a snapshot for each request."""

    def __init__(self, metrics: Sequence[Metric], snapshots: Sequence[Snapshot], name_nodes: bool) -> None:
        self._metrics = metrics
        self._nodes: list[tuple[Labels, Snapshot]] = [
            ((snapshot.identity.node,) if name_nodes else (), snapshot) for snapshot in snapshots
        ]
        self._labels = ("node",) if name_nodes else ()

    def collect(self) -> Iterator[Family]:
        for metric in self._metrics:
            yield self._numbers(metric) if isinstance(metric, Numbers) else self._durations(metric)

    def _numbers(self, metric: Numbers) -> Family:
        kind = CounterMetricFamily if metric.name.endswith("_total") else GaugeMetricFamily
        family = kind(metric.name, metric.meaning, labels=(*self._labels, *metric.labels))
        for node, snapshot in self._nodes:
            values = dict.fromkeys(metric.known, 0.0) | dict(snapshot.numbers.get(metric.name, ()))
            for labels, value in values.items():
                family.add_metric((*node, *labels), value)
        return family

    def _durations(self, metric: Durations) -> Family:
        family = HistogramMetricFamily(metric.name, metric.meaning, labels=(*self._labels, *metric.labels))
        for node, snapshot in self._nodes:
            for labels, histogram in snapshot.durations.get(metric.name, ()):
                family.add_metric((*node, *labels), buckets_of(histogram, metric.bounds), histogram.sum)
        return family


def buckets_of(histogram: Histogram, bounds: Sequence[float]) -> list[tuple[str, float]]:
    return list(zip((*map(str, bounds), "+Inf"), histogram.cumulative(), strict=True))
