"""Short runs against the daemon of a test."""

from typing import Any

import trio

from chatd.bench.result import Result
from chatd.bench.run import Options, Run, Scenario
from chatd.bench.target import Target
from tests.support import Daemon

SHORT = Options(connections=6, rate=60, seconds=1, warm_up_s=0.2)


def run_of(daemon: Daemon, options: Options = SHORT) -> Run:
    return Run(Target.parse(daemon.addresses.socket, daemon.token), options, lambda what, share: None)


async def result_of(run: Run, kind: type[Scenario]) -> Result:
    return await trio.to_thread.run_sync(run.execute, kind)


def counts(result: Result) -> dict[str, Any]:
    return {name: len(times) for name, times in result.latencies.items()}
