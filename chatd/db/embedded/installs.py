"""The programs of the embedded servers, where the account that runs them can read them.

The Python environment of root is often below a folder that other users cannot enter, such as /root. Then the files of
the server are copied to /var/lib/chatd, which belongs to root: the account can run them, and cannot change them.
"""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

from chatd.db.embedded.account import Account
from chatd.db.embedded.folder_lock import EmbeddedError

LIBRARY = Path("/var/lib/chatd")


def reachable(package: str, home: Path, program: str, account: Account | None) -> Path:
    """`home`, a folder of the installed package, or a copy from which the account can run `program`.

    Raises EmbeddedError.
    """
    if account is None or can_run(home / program, account):
        return home
    found = distribution(package)
    site, copy = Path(str(found.locate_file(""))), LIBRARY / f"{package}-{found.version}"
    inside = home.relative_to(site)
    # The libraries of a wheel are beside the package. Programs find them by a path relative to their own.
    parts = [inside, *(path.relative_to(site) for path in site.glob(f"{package.replace('-', '_')}.libs"))]
    try:
        if not copy.exists():
            make_copy(site, parts, copy)
    except OSError as error:
        raise EmbeddedError(
            f"{home} cannot be read by the account of the server, nor copied to {copy}: {error}"
        ) from error
    if not can_run(copy / inside / program, account):
        raise EmbeddedError(
            f"the account of the server can run neither {home} nor {copy}. Install chatd in /opt, or set postgres.dsn."
        )
    return copy / inside


def can_run(program: Path, account: Account) -> bool:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, check=False, cwd="/", **account.options())  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


def make_copy(site: Path, parts: Sequence[Path], copy: Path) -> None:
    """Copy all or nothing. Another process may do the same at the same time."""
    copy.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    found = copy.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"{copy.parent} must be a folder that only root can write to")
    unfinished = Path(tempfile.mkdtemp(prefix=".copy-", dir=copy.parent))
    try:
        for part in parts:
            shutil.copytree(site / part, unfinished / part, symlinks=True)
        make_readable(unfinished)
        os.rename(unfinished, copy)
    except OSError:
        if not copy.exists():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def make_readable(folder: Path) -> None:
    """Make all files readable for all users; the umask of the installation may have been narrow."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if mode & stat.S_IXUSR else 0o644)
