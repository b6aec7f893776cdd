"""The lock of the data folder, and its permissions.

The embedded Postgres and Redis are ordinary servers in sessions of their own: neither ^C nor `kill -9` of the daemon
reaches them. A normal stop of the daemon stops them too; after a `kill -9` the next daemon finds them running and uses
them. One daemon at a time uses a folder: it holds a lock that the kernel releases when the process ends.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatd.core.errors import OperatorError

LOCK = "chatd.lock"
# What chatd creates before it locks the folder.
OURS = {"secret", "installation_secret", "uploads"}
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class EmbeddedError(OperatorError):
    """An embedded server cannot be used. The text names the reason and the fix."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the folder, and make it private (mode 0700). Raises EmbeddedError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_private(folder)
    path = folder / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        take(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def make_private(folder: Path) -> None:
    """Remove the permissions of other users on a data folder.

    The mode of a folder with other content is not changed. Raises EmbeddedError.
    """
    found = folder.stat()
    if found.st_uid != os.geteuid():
        if os.geteuid() == 0 or found.st_uid != 0 or found.st_mode & stat.S_IWOTH:
            raise EmbeddedError(
                f"{folder} belongs to another user. Run chatd as its owner, or choose another folder with data.dir."
            )
        return
    if found.st_mode & OTHERS == 0:
        return
    names = {path.name for path in folder.iterdir()}
    if LOCK in names or names <= OURS:
        folder.chmod(0o700)
        return
    raise EmbeddedError(
        f"{folder} is open to other users and is not a data folder of chatd. Set data.dir, or run: chmod 700 {folder}"
    )


def take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
        raise EmbeddedError(
            f"{folder} is in use by another chatd (process {holder}). Stop that process, or set data.dir."
        ) from None


def is_locked(folder: Path) -> bool:
    """Whether a daemon uses this folder."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        take(descriptor, folder)
    except EmbeddedError:
        return True
    finally:
        os.close(descriptor)
    return False
