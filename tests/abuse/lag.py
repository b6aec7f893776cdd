"""A probe of the event loop: the longest time that a task of the daemon ran without letting others run.

CPU time of the thread is measured, so that a loaded machine changes nothing. Tasks of the tests themselves do not count.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Probe(trio.abc.Instrument):
    """`worst_s` is the longest step, and `task` whose it was, with the lines at which it began and ended."""

    def __init__(self) -> None:
        self._began = 0.0
        self._began_at = ""
        self.reset()

    def reset(self) -> None:
        self.worst_s, self.task = 0.0, ""

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began_at = place_of(task)
        self._began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took = time.thread_time() - self._began
        if took > self.worst_s and not task.name.startswith(("tests.", "<test", "chatd.client")):
            self.worst_s, self.task = took, f"{task.name}: {self._began_at} to {place_of(task)}"


def place_of(task: trio.lowlevel.Task) -> str:
    """The innermost line of chatd at which the task waits."""
    found = "its end"
    for frame, line in task.iter_await_frames():
        name = frame.f_code.co_filename
        if "/chatd/" in name and not name.endswith("/turns.py"):
            found = f"{name}:{line}"
    return found


@contextmanager
def probed() -> Iterator[Probe]:
    probe = Probe()
    trio.lowlevel.add_instrument(probe)
    try:
        yield probe
    finally:
        trio.lowlevel.remove_instrument(probe)
