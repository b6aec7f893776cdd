"""Runs the index process (`search/index_process.py`) as a child of this process, and restarts it when it ends."""

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from logging import ERROR

import trio

from chatd.core.child_processes import end_of, environment
from chatd.core.health import Condition
from chatd.search.index_process import Start, arguments

# Time before it is restarted, doubled with each end in a row; and the time that it has to run until it counts as well.
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 30.0
TRIAL_S = 5.0
# Time that it has to end by itself when this process stops.
STOP_TIMEOUT_S = 3.0
FAILED = 1


class IndexChild:
    """The child. Its end is logged once with the cause, and so is its recovery.

    `pid`: its process, None while there is none. `restarts`: how often it ended by itself. `is_leaving`: whether this
    process stops.
    """

    def __init__(
        self,
        start: Start,
        is_leaving: Callable[[], bool],
        *,
        command: Sequence[str] = (),
        first_pause_s: float = FIRST_PAUSE_S,
        trial_s: float = TRIAL_S,
    ) -> None:
        self.condition = Condition("search index process")
        self.pid: int | None = None
        self.restarts = 0
        self._start = start
        self._is_leaving = is_leaving
        self._command = list(command) or arguments()
        self._first_pause_s = first_pause_s
        self._trial_s = trial_s

    async def run(self) -> None:
        """Run until this process stops."""
        pause_s = self._first_pause_s
        while True:
            try:
                code, ran_well = await self._run_once()
                cause = end_of(code)
            except OSError as error:
                code, ran_well, cause = FAILED, False, f"it cannot be started: {error}"
            if code == 0:
                # A service manager may have stopped both processes at the same time.
                await trio.sleep(self._first_pause_s)
                if self._is_leaving():
                    return
            pause_s = self._first_pause_s if ran_well else min(2 * pause_s, MAX_PAUSE_S)
            self.restarts += 1
            self.condition.fail(f"{cause}, and is restarted", level=ERROR)
            await trio.sleep(pause_s)

    async def _run_once(self) -> tuple[int, bool]:
        """Run it until it ends. Returns its exit code, and whether it ran for some time. Raises OSError."""
        process = await trio.lowlevel.open_process(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment(),
            # ^C in a terminal is for the parent only.
            start_new_session=True,
        )
        self.pid = process.pid
        try:
            assert process.stdin is not None
            with suppress(trio.BrokenResourceError):
                await process.stdin.send_all(self._start.line())
            with trio.move_on_after(self._trial_s):
                return await process.wait(), False
            self.condition.recover()
            return await process.wait(), True
        finally:
            self.pid = None
            with trio.CancelScope(shield=True):
                await stop(process)


async def stop(process: trio.Process) -> None:
    """Let it end by itself, which the end of its standard input asks for; then kill it."""
    assert process.stdin is not None
    await process.stdin.aclose()
    with trio.move_on_after(STOP_TIMEOUT_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
