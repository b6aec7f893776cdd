"""When periodic jobs run."""

from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.app.jobs import MAX_FIRST_WAIT_S, Job, run_job
from chatd.core.errors import Refused

NODE: Any = None


async def runs(every_s: float, until_s: float, *, more: int = 0, refused: bool = False) -> list[float]:
    """When a job runs; it has more to do in its first `more` runs."""
    times: list[float] = []
    start_s = trio.current_time()

    async def run(node: Any) -> bool:
        times.append(trio.current_time() - start_s)
        if refused:
            raise Refused("unavailable")
        return len(times) <= more

    with trio.move_on_after(until_s):
        await run_job(NODE, Job("test", run, every_s))
    return times


async def test_jobs_begin_at_different_moments(autojump_clock: MockClock) -> None:
    first = [(await runs(3600, MAX_FIRST_WAIT_S + 1))[0] for _ in range(40)]
    assert max(first) <= MAX_FIRST_WAIT_S
    assert max(first) - min(first) > MAX_FIRST_WAIT_S / 4


@pytest.mark.parametrize("refused", [False, True])
async def test_a_job_runs_once_in_each_period(autojump_clock: MockClock, refused: bool) -> None:
    times = await runs(2, 21, refused=refused)
    assert times[0] <= 2
    assert [after - before for before, after in pairwise(times)] == pytest.approx([2] * (len(times) - 1))
    assert len(times) in (10, 11)


async def test_a_job_with_more_to_do_runs_again_at_once(autojump_clock: MockClock) -> None:
    times = await runs(2, 2.5, more=5)
    assert times[:6] == pytest.approx([times[0]] * 6)
