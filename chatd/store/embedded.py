"""The Postgres and the Redis that come as wheels, for a machine that has neither.

Both are ordinary servers in sessions of their own: neither ^C nor `kill -9` of the daemon reaches them. A normal stop stops
them too; after a `kill -9` the next start finds them running and goes on with them. One daemon at a time has a folder: it holds
a lock that the kernel lets go when the process ends, however it ends.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatd.errors import OperatorError

# sockaddr_un.sun_path holds 108 bytes with its final NUL (unix(7)).
LONGEST_SOCKET = 107


class EmbeddedError(OperatorError):
    """An embedded server cannot be used; the text says why and what to do."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Have the folder to oneself. Raises EmbeddedError when another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "chatd.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        take(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
        raise EmbeddedError(
            f"{folder} is in use by another chatd (process {holder}). Stop that one, or choose another folder with data.dir."
        ) from None


def is_locked(folder: Path) -> bool:
    """Whether a daemon runs on this folder."""
    try:
        with locked(folder):
            return False
    except EmbeddedError:
        return True


def socket_folder(folder: Path, name: str) -> Path:
    """Where a socket called `name` can live: in the folder, or in a private short one when the path would be too long."""
    if len(os.fsencode(folder / name)) <= LONGEST_SOCKET:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"chatd-{os.geteuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid not in (os.geteuid(), owner(folder)):
        raise EmbeddedError(f"{short} belongs to somebody else. Remove it, or choose a shorter data.dir.")
    return short


def owner(folder: Path) -> int:
    return folder.stat().st_uid
