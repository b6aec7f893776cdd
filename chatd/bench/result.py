"""The result of a run: latencies, figures, the verdict, and warnings about what makes the figures doubtful."""

import os
import platform
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chatd.bench.verdict import Verdict, summary

MAX_FAULTS_SHOWN = 20


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


def percentiles(seconds: Sequence[float]) -> Percentiles | None:
    """Nearest-rank percentiles of latencies; None if there are none."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    p50, p90, p99 = (ordered[-(-len(ordered) * place // 100) - 1] * 1000 for place in (50, 90, 99))
    return Percentiles(len(ordered), p50, p90, p99, ordered[-1] * 1000)


@dataclass
class Result:
    """The result of a run.

    `latencies` in seconds by name; `planned`, if known, are the times of the operations since the warm-up.

    `ended`: connections that the server refused or closed, by reason. `unfinished`: answers and deliveries that did not
    arrive in time.
    """

    name: str
    options: dict[str, Any]
    verdict: Verdict = field(default_factory=Verdict)
    latencies: dict[str, "array[float]"] = field(default_factory=dict)
    planned: dict[str, "array[float]"] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    unfinished: int = 0

    @property
    def is_good(self) -> bool:
        """Whether the server kept its guarantees, and every connection."""
        return not (self.verdict.faults or self.ended or self.unfinished)

    def as_json(self) -> dict[str, Any]:
        found = {name: percentiles(times) for name, times in self.latencies.items()}
        verdict = self.verdict
        return {
            "bench": self.name,
            "options": self.options,
            "machine": machine(),
            "latencies_ms": {name: vars(one) for name, one in found.items() if one},
            "figures": self.figures,
            "verdict": {
                "good": self.is_good,
                "faults": summary(verdict.faults),
                "first_faults": [str(fault) for fault in verdict.faults[:MAX_FAULTS_SHOWN]],
                "sent": verdict.sent,
                "acknowledged": verdict.acked,
                "refused": verdict.refused,
                "outcome_unknown": verdict.unknown,
                "received": verdict.received,
                "unfinished": self.unfinished,
            },
            "refusals": dict(self.refusals),
            "ended_connections": dict(self.ended),
            "warnings": self.warnings,
        }


def machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 2),
    }
