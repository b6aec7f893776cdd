"""The packages of the peers, which are not among those of chatd.

python -m bench.packages    # installs them: `npm ci`, and pip in a virtual environment of their own
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "peer"
COMMAND = "python -m bench.packages"


class NotInstalled(Exception):
    """Something is missing; the text names it, and how to install it."""


@dataclass(frozen=True)
class Packages:
    """`folder` contains what is installed, and a note of what that is. `tools`: programs that it needs."""

    lock: Path
    folder: Path
    python: Path | None = None
    tools: tuple[str, ...] = ()

    def interpreter(self) -> str:
        """The program that runs the peers. Raises NotInstalled."""
        if not self._is_current():
            raise NotInstalled(f"the packages of {self.lock.name} are not installed: {COMMAND}")
        return str(self.python or "node")

    def install(self) -> None:
        """Install them, unless they are those of the lock. Raises NotInstalled."""
        missing = [name for name in self.tools if shutil.which(name) is None]
        if missing:
            packages = " ".join("nodejs" if name == "node" else name for name in missing)
            raise NotInstalled(f"{' and '.join(missing)} not installed: apt-get install {packages}")
        with locked():
            if self._is_current():
                return
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.python is None:
                run("npm", "ci", "--silent")
            else:
                run(sys.executable, "-m", "venv", str(self.folder))
                pip = (str(self.python), "-m", "pip", "--disable-pip-version-check", "--quiet")
                run(*pip, "install", "--require-hashes", "-r", str(self.lock))
            self._stamp.write_text(self._wanted())

    @property
    def _stamp(self) -> Path:
        return self.folder / "installed"

    def _wanted(self) -> str:
        """The lock, and the interpreter: peers in Python have to run on that of chatd."""
        return digest(self.lock) + (sys.version if self.python else "")

    def _is_current(self) -> bool:
        return self._stamp.exists() and self._stamp.read_text() == self._wanted()


NODE = Packages(FOLDER / "package-lock.json", FOLDER / "node_modules", tools=("node", "npm"))
PYTHON = Packages(
    FOLDER.parents[1] / "requirements-peers.lock", FOLDER / ".venv", python=FOLDER / ".venv" / "bin" / "python"
)


@contextmanager
def locked() -> Iterator[None]:
    """One process at a time."""
    descriptor = os.open(FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def run(*command: str) -> None:
    """Raises NotInstalled."""
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled(f"{' '.join(command)} failed: {(done.stderr or done.stdout)[-2000:].strip()}")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    for packages in (NODE, PYTHON):
        try:
            packages.install()
        except NotInstalled as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
