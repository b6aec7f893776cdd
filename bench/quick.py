"""A short comparison with `ws` on Node: fails if chatd uses far more CPU than it did when the limits were set.

python -m bench.quick    # or: make bench-quick

One short round of each scenario, in two minutes at most. One round on a busy machine is noisy, so the limits are about
twice what was measured; smaller regressions are found by `make bench`.
"""

import argparse
import json
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from bench import connect, fanout, send, typing
from bench.packages import NotInstalled
from bench.processes import stop_at_sigterm
from bench.report import parser_of
from bench.rounds import opened, run_rounds
from bench.scenario import Bench
from bench.servers import ServerFailed
from chatd.bench.own_server import RAISED_LIMITS
from chatd.bench.processes import raise_file_limit

PEER = "ws"
# The last column is the most that the ratio of chatd to the peer may be. Measured on a busy machine with two cores:
# connect 1.5 to 1.7, send 1.1 to 1.3, fanout 1.8 to 2.2, typing 3.1 to 3.8.
Cases = tuple[tuple[Bench, str, float], ...]
CASES: Cases = (
    (connect.BENCH, "--connections 300", 3.5),
    (send.BENCH, "--messages 60", 2.5),
    (fanout.BENCH, "--messages 80", 4.0),
    (typing.BENCH, "--events 300", 7.0),
)
LIMITS = {bench.name: limit for bench, _, limit in CASES}


def measure(cases: Cases = CASES) -> dict[str, float]:
    """The ratio of chatd to the peer in each scenario."""
    ratios: dict[str, float] = {}
    with opened([PEER], RAISED_LIMITS) as servers:
        for bench, arguments, _ in cases:
            numbers = [*arguments.split(), "--rounds", "1"]
            results = run_rounds(bench, parser_of(bench).parse_args(numbers), servers)
            ratio = results.ratio(PEER, bench.figure)
            if ratio is not None:
                ratios[bench.name] = ratio.median
    return ratios


def verdict(ratios: Mapping[str, float], limits: Mapping[str, float]) -> list[str]:
    """What is wrong: ratios beyond their limits, and scenarios without a figure."""
    missing = [f"{name}: the peer used no CPU time that could be measured" for name in limits.keys() - ratios.keys()]
    return [
        *sorted(missing),
        *(
            f"{name}: chatd used {ratio:.2f} times the CPU of {PEER}; at most {limits[name]:.2f} is accepted"
            for name, ratio in ratios.items()
            if not ratio <= limits[name]
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    raise_file_limit()
    stop_at_sigterm()
    try:
        ratios = measure()
    except (NotInstalled, ServerFailed) as error:
        sys.exit(str(error))
    faults = verdict(ratios, LIMITS)
    if options.json:
        print(json.dumps({"ratios": ratios, "limits": LIMITS, "faults": faults}, indent=1))
    else:
        table = Table("scenario", f"chatd / {PEER}", "at most")
        for name, ratio in ratios.items():
            table.add_row(name, f"{ratio:.2f}", f"{LIMITS[name]:.2f}")
        Console().print(table)
        print(*faults, sep="\n", end="\n" if faults else "")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
