"""Histograms of durations, with fixed buckets.

They are plain numbers without locks, so an observation costs almost nothing. Pure.
"""

from bisect import bisect_left
from collections.abc import Iterable
from functools import reduce
from itertools import accumulate

from msgspec import Struct, field

# Upper bounds of the buckets in seconds, each inclusive; the last bucket has none.
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


# The same for what lasts up to days.
LONG_BOUNDS = (1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 14_400.0, 86_400.0)


class Histogram(Struct):
    """Durations in seconds. `counts` by bucket, one more than there are bounds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    sum: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        return sum(self.counts)

    def copy(self) -> "Histogram":
        return Histogram(list(self.counts), self.sum)

    def plus(self, other: "Histogram") -> "Histogram":
        return Histogram([a + b for a, b in zip(self.counts, other.counts, strict=True)], self.sum + other.sum)

    def since(self, earlier: "Histogram") -> "Histogram":
        """The observations after `earlier`, an earlier state of the same histogram."""
        return Histogram([a - b for a, b in zip(self.counts, earlier.counts, strict=True)], self.sum - earlier.sum)

    def cumulative(self) -> list[int]:
        """The number of observations up to each bound; the last one is the number of all."""
        return list(accumulate(self.counts))

    def quantile(self, share: float) -> float | None:
        """The upper bound of a quantile in seconds, from the buckets: the real value is at most this.

        None without observations; the largest bound for values beyond it.
        """
        wanted = share * self.count
        for bound, reached in zip(BOUNDS, self.cumulative(), strict=False):
            if reached and reached >= wanted:
                return bound
        return BOUNDS[-1] if self.count else None


class LongHistogram(Histogram):
    """Durations up to days, by `LONG_BOUNDS`. It has no quantiles."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LONG_BOUNDS) + 1))

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(LONG_BOUNDS, seconds)] += 1
        self.sum += seconds


def total(histograms: Iterable[Histogram]) -> Histogram:
    """The sum of histograms."""
    return reduce(Histogram.plus, histograms, Histogram())
