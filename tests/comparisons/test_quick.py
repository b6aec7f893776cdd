"""`make bench-quick`: a comparison that fails past generous ratios."""

import pytest

from bench import fanout, send
from bench.quick import LIMITS, measure, verdict
from tests.comparisons.test_peers import needs_packages

PLANTED = {"connect": 1.6, "send": 1.1, "fanout": 2.0, "typing": 3.5}


def test_usual_ratios_are_accepted() -> None:
    assert verdict(PLANTED, LIMITS) == []
    assert verdict(LIMITS, LIMITS) == []


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("ratio", [2.5, float("inf"), float("nan")])
def test_a_ratio_past_its_limit_fails(name: str, ratio: float) -> None:
    (fault,) = verdict(PLANTED | {name: LIMITS[name] * ratio}, LIMITS)
    assert fault.startswith(f"{name}: chatd used ")


def test_a_scenario_without_a_figure_fails() -> None:
    assert verdict({}, {"send": 2.0}) == ["send: the peer used no CPU time that could be measured"]


def test_limits_are_generous() -> None:
    """At least one and a half times what is usual: one short round is noisy."""
    assert {name for name in LIMITS if LIMITS[name] < 1.5 * PLANTED[name]} == set()


@pytest.mark.servers
def test_ratios_are_measured() -> None:
    needs_packages("ws")
    cases = ((send.BENCH, "--pairs 5 --messages 100", 1.0), (fanout.BENCH, "--members 100 --messages 100", 1.0))
    ratios = measure(cases)
    assert ratios.keys() == {"send", "fanout"}
    assert all(0.1 < ratio < 100 for ratio in ratios.values())
