"""A probe of the event loop: the longest step of a task of the daemon.

It measures the CPU time of the thread, so that other load on the machine makes no difference. Tasks of the tests do not
count.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Probe(trio.abc.Instrument):
    """`worst_s` is the longest step; `task` names its task and the lines at which it began and ended.

    `tests`: count tasks of the tests too.
    """

    def __init__(self, *, tests: bool = False) -> None:
        self._left_out = ("chatd.client",) if tests else ("tests.", "<test", "chatd.client")
        self._began_at = ""
        self.reset()

    def reset(self) -> None:
        self.worst_s, self.task = 0.0, ""
        # It may be called within a step.
        self._began = time.thread_time()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began_at = place_of(task)
        self._began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took = time.thread_time() - self._began
        if took > self.worst_s and not task.name.startswith(self._left_out):
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
def probed(*, tests: bool = False) -> Iterator[Probe]:
    probe = Probe(tests=tests)
    trio.lowlevel.add_instrument(probe)
    try:
        yield probe
    finally:
        trio.lowlevel.remove_instrument(probe)
