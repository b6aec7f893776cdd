"""What the process uses, as the operating system and Trio tell it."""

import os
import time

import trio

# Seconds that a count is repeated which is as expensive as there are connections.
FRESH = 10.0
PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessCounts:
    """What is expensive to count, at most `FRESH` seconds old."""

    def __init__(self) -> None:
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
        if now - self._counted_at >= FRESH:
            self._counted_at = now
            self._open_fds = open_descriptors()
            self._tasks = trio.lowlevel.current_statistics().tasks_living


def rss_bytes() -> int:
    """0 where the system does not tell."""
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
