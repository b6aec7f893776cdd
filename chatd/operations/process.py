"""What the process uses, as the operating system and the interpreter tell it."""

import gc
import os
import time

import trio
from msgspec import Struct

# Seconds that a count is repeated which is as expensive as there are connections.
FRESH = 10.0
PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(Struct):
    """`gc` has the collections of each generation. What the system does not tell is 0."""

    rss_bytes: int
    cpu_seconds: float
    open_fds: int
    tasks: int
    gc: list[int]


class Meter:
    """Reads them."""

    def __init__(self) -> None:
        self._counted_at = float("-inf")
        self._open_fds = self._tasks = 0

    def read(self) -> Process:
        now = time.monotonic()
        if now - self._counted_at >= FRESH:
            self._counted_at = now
            self._open_fds = open_descriptors()
            self._tasks = trio.lowlevel.current_statistics().tasks_living
        collections = [generation["collections"] for generation in gc.get_stats()]
        return Process(rss_bytes(), time.process_time(), self._open_fds, self._tasks, collections)


def rss_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE
    except OSError:
        return 0


def open_descriptors() -> int:
    """Files and sockets. Linux 6.2 and later say it as the size of a directory; elsewhere they have to be counted."""
    try:
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
    except OSError:
        return len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0
