"""CPU time and memory of processes on this machine."""

import os
import resource
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds of these processes and their threads, without child processes. Processes that are gone count 0."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def family(pid: int) -> list[int]:
    """A process and its children: a postmaster and its backends."""
    return [pid, *children_of(pid)]


def with_helpers(pid: int) -> list[int]:
    """A process and its children that run the same program: chatd and its index process, without its databases."""
    return [pid, *(child for child in children_of(pid) if program_of(child) == program_of(pid))]


def children_of(pid: int) -> list[int]:
    """The children of a process, each of which belongs to the thread that started it; none if it is gone."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def program_of(pid: int) -> str:
    """The path of the program; empty if the process is gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def resident_bytes(pid: int) -> int:
    """RSS; 0 if the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def raise_file_limit() -> int:
    """Allow as many open files as possible; returns the limit. Each connection needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def stop(process: "subprocess.Popen[bytes]", timeout_s: float) -> None:
    """Stop a server. One that has to be killed leaves its databases running."""
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
