"""Resource usage of the process, from the operating system and Trio."""

import os
import time

import trio

# How long a count is reused whose cost grows with the number of connections.
MAX_AGE_S = 10.0
PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessCounts:
    """Expensive counts, at most `max_age_s` seconds old."""

    def __init__(self, *, max_age_s: float = MAX_AGE_S) -> None:
        self._max_age_s = max_age_s
        self._counted_at = float("-inf")
        self._open_fds = self._tasks = 0

    def open_fds(self) -> int:
        self._count()
        return self._open_fds

    def tasks(self) -> int:
        self._count()
        return self._tasks

    def _count(self) -> None:
        now = time.monotonic()
        if now - self._counted_at >= self._max_age_s:
            self._counted_at = now
            self._open_fds = open_descriptors()
            self._tasks = trio.lowlevel.current_statistics().tasks_living


def rss_bytes() -> int:
    """Resident memory; 0 if the system does not report it."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE
    except OSError:
        return 0


def open_descriptors() -> int:
    """Open files and sockets.

    Linux 6.2 and later report the number as the size of a directory; elsewhere it is counted.
    """
    try:
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
    except OSError:
        return len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0
