"""Server processes, each pinned to a core, and their CPU time and memory."""

import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chatd.bench.processes import family

TICKS = os.sysconf("SC_CLK_TCK")
# A busy machine takes long to stop a server with its databases.
STOP_TIMEOUT_S = 60.0
CORES = sorted(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Cpu:
    """Processor time in seconds; `kernel` is part of `total`."""

    total: float
    kernel: float

    def since(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.total - earlier.total, self.kernel - earlier.kernel)

    @property
    def kernel_percent(self) -> float:
        """0 where less than a tick of the clock was used."""
        return self.kernel / self.total * 100 if self.total else 0.0


def cpu_of(pids: Iterable[int]) -> Cpu:
    """CPU time of these processes and their threads, without child processes."""
    user = kernel = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        user, kernel = user + int(fields[11]), kernel + int(fields[12])
    return Cpu((user + kernel) / TICKS, kernel / TICKS)


def cpu_of_family(pid: int) -> Cpu:
    """CPU time of a process and its children, also of those that have ended: a postmaster and its backends."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    ended = Cpu((int(fields[13]) + int(fields[14])) / TICKS, int(fields[14]) / TICKS)
    running = cpu_of(family(pid))
    return Cpu(ended.total + running.total, ended.kernel + running.kernel)


def pin(pid: int, core: int) -> None:
    """Pin a process, and those it starts later, to one core. Does nothing on a machine with one core, or if it has
    ended.
    """
    if len(CORES) > 1:
        with suppress(ProcessLookupError):
            os.sched_setaffinity(pid, {CORES[core % len(CORES)]})


def pin_threads(pid: int, core: int) -> None:
    """Pin a running process with all its threads."""
    with suppress(FileNotFoundError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            pin(int(thread.name), core)


def stop_at_sigterm() -> None:
    """Let SIGTERM end this process as ^C does: the servers that it started are stopped too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
