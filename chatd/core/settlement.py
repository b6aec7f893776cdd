"""Operations that call a function at their end, and tasks that wait for one.

A waiting task costs a wake-up, which for a small operation is as much as the operation. An operation whose end only
calls a function needs no task.
"""

from collections.abc import Callable
from typing import Any

import outcome
import trio

# Called once, with the result and None, or with None and the error.
Settled = Callable[[Any, Exception | None], None]


async def settlement(begin: Callable[[Settled], None]) -> Any:
    """Begin an operation and wait for its end; it continues if the wait is cancelled. `begin` does not settle it
    itself.

    Raises what `begin` raises, and the error with which it is settled.
    """
    waiting = [trio.lowlevel.current_task()]

    def settled(result: Any, error: Exception | None) -> None:
        for task in waiting:
            trio.lowlevel.reschedule(task, outcome.Value(result) if error is None else outcome.Error(error))

    def give_up(_: object) -> trio.lowlevel.Abort:
        waiting.clear()
        return trio.lowlevel.Abort.SUCCEEDED

    begin(settled)
    return await trio.lowlevel.wait_task_rescheduled(give_up)
