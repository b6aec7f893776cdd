"""Durations in buckets."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chatd.core.histogram import BOUNDS, Histogram, total

DURATIONS = st.lists(st.floats(0, 20), max_size=50)


def noted(durations: list[float]) -> Histogram:
    histogram = Histogram()
    for seconds in durations:
        histogram.observe(seconds)
    return histogram


@given(DURATIONS)
def test_bucket_counts_values_up_to_its_bound(durations: list[float]) -> None:
    histogram = noted(durations)
    wanted = [sum(seconds <= bound for seconds in durations) for bound in BOUNDS]
    assert histogram.cumulative() == [*wanted, len(durations)]
    assert histogram.count == len(durations)
    assert histogram.sum == sum(durations)


@given(DURATIONS, DURATIONS)
def test_histograms_add_and_subtract(some: list[float], more: list[float]) -> None:
    assert noted(some + more).since(noted(some)).counts == noted(more).counts
    assert total([noted(some), noted(more)]).counts == noted(some + more).counts


@given(DURATIONS, st.floats(0.01, 1))
def test_quantile_is_the_upper_bound_of_its_bucket(durations: list[float], share: float) -> None:
    found = noted(durations).quantile(share)
    if not durations:
        assert found is None
        return
    assert found in BOUNDS
    below = sum(seconds <= found for seconds in durations)
    assert below >= share * len(durations) or found == BOUNDS[-1]
    smaller = [bound for bound in BOUNDS if bound < found]
    assert not smaller or sum(seconds <= smaller[-1] for seconds in durations) < max(share * len(durations), 1)


def test_copied_histogram_is_independent_and_encodes_as_json() -> None:
    histogram = noted([0.2, 30])
    copy = histogram.copy()
    histogram.observe(1)
    assert copy.count == 2
    assert msgspec.json.decode(msgspec.json.encode(copy), type=Histogram) == copy
