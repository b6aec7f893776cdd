"""Soak test: users chat and match while nodes, Postgres, Redis and the network fail; then check each client's log.

python -m tests.cluster.soak --scenario random --seconds 60 --seeds 1 2 3
python -m tests.cluster.soak --scenario judged
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import trio

from tests.cluster.soak.faults import FAULTS
from tests.cluster.soak.run import SCENARIOS, soak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), nargs="+", default=list(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=60, help="of the random faults")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--faults", nargs="+", choices=[fault.__name__ for fault in FAULTS], help="only these")
    options = parser.parse_args()
    failed = 0
    for name in options.scenario:
        scenario = replace(SCENARIOS[name], seconds=options.seconds)
        if options.faults and scenario.faults:
            scenario = replace(scenario, faults=tuple(fault for fault in FAULTS if fault.__name__ in options.faults))
        for seed in options.seeds:
            folder = Path(tempfile.mkdtemp(prefix="chatd-soak-"))
            report = trio.run(soak, folder, seed, scenario)
            print(f"{name}: {report}\n  logs: {folder}", flush=True)
            failed += bool(report.wrong)
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
