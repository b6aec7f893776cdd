"""The conditions of a measurement: the machine, and the versions of all software involved."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from bench.packages import NODE, PYTHON
from chatd import __version__
from chatd.db.embedded.postgres import binaries
from chatd.db.embedded.redis_servers import bundled

ROOT = Path(__file__).parents[1]
NODE_PACKAGES = ("socket.io", "@socket.io/redis-adapter", "redis", "ws", "pg", "jsonwebtoken")
PYTHON_PACKAGES = (
    *("python-socketio", "python-engineio", "uvicorn", "uvloop", "websockets"),
    *("trio-websocket", "trio", "trio-asyncio", "asyncpg", "PyJWT"),
)
OWN_PACKAGES = ("trio", "trio-asyncio", "asyncpg", "msgspec", "PyJWT")


def machine() -> dict[str, str]:
    """The machine, and which build of Python: those of distributions are faster than a plain one."""
    build = "of the distribution" if sys.base_prefix == "/usr" else "another build than that of the distribution"
    return {
        "CPU": f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{distribution()}, Linux {platform.release()}",
        "Python": f"{platform.python_version()}, {build}",
    }


def versions() -> dict[str, str]:
    redis = bundled()
    return {
        "chatd": f"{__version__}, {commit()}; {listed(OWN_PACKAGES, version)}",
        "databases": f"{output(str(binaries() / 'postgres'), '--version')}, "
        f"{redis.kind} {'.'.join(map(str, redis.version))}",
        "Node": f"{output('node', '--version')}; {listed(NODE_PACKAGES, node_version)}",
        "Python peers": listed(PYTHON_PACKAGES, peer_version),
    }


def listed(names: tuple[str, ...], version_of: Callable[[str], str]) -> str:
    return ", ".join(f"{name} {version_of(name)}" for name in names)


def node_version(name: str) -> str:
    path = NODE.folder / name / "package.json"
    return str(json.loads(path.read_text())["version"]) if path.exists() else "not installed"


def peer_version(name: str) -> str:
    """The version in the lock, which is installed with its hash."""
    found = re.search(rf"^{re.escape(name)}==(\S+)", PYTHON.lock.read_text(), re.MULTILINE | re.IGNORECASE)
    return found[1] if found else "not installed"


def cpu_model() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def commit() -> str:
    """The commit of the source, and whether there are changes."""
    name = output("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    return f"commit {name}" if name else "no commit"


def output(*command: str) -> str:
    """What a program prints; empty if it is missing or fails."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def load_average() -> str:
    return " ".join(f"{load:.1f}" for load in os.getloadavg())
