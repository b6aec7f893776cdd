"""Blobs as files in a folder that only this account may read.

A file is written under a temporary name, synced to the disk, and renamed, so a key always has the complete file or
none. A crash leaves files that end with `.part`; they are never overwritten.
"""

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import trio

from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.uploads.blobs import BlobMissing, Presigned, path_of
from chatd.uploads.chunks import Chunks

T = TypeVar("T")
IDENTITY = "identity"
FULL = (errno.ENOSPC, errno.EDQUOT)


class Folder:
    """Blobs in a folder, see `blobs.Blobs`. Several processes may use one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._writes = Condition("writing to the upload folder")
        self._reads = Condition("reading from the upload folder")

    async def identity(self) -> str:
        """An id stored in the folder: nodes that share the folder read the same id."""
        return await within(self._reads, lambda: identity_of(self._root))

    async def put(self, key: str, data: Chunks) -> None:
        await within(self._writes, lambda: write(self._path(key), data))

    async def read(self, key: str, start: int, length: int) -> bytes:
        return await within(self._reads, lambda: read(self._path(key), start, length))

    async def delete(self, key: str) -> None:
        await within(self._reads, lambda: self._path(key).unlink(missing_ok=True))

    def presigned(self, key: str, reply: Presigned) -> str | None:
        return None

    def _path(self, key: str) -> Path:
        return self._root / path_of(key)


async def within(condition: Condition, work: Callable[[], T]) -> T:
    """Run `work` in a thread. Raises Refused for an error of the disk."""
    try:
        done = await trio.to_thread.run_sync(work)
    except OSError as error:
        condition.fail(error.strerror or type(error).__name__)
        message = "the file store is full" if error.errno in FULL else "the file store is unavailable"
        raise Refused("unavailable", message, retry_after=5) from error
    condition.recover()
    return done


def write(path: Path, data: Chunks) -> None:
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    part = path.with_name(f"{secrets.token_hex(8)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def identity_of(root: Path) -> str:
    """Read the id, or create it. If several processes create it at once, the first one wins."""
    path = root / IDENTITY
    part = path.with_name(f"{secrets.token_hex(8)}.part")
    if not path.exists():
        part.write_text(secrets.token_hex(8))
        with suppress(FileExistsError):
            os.link(part, path)
        part.unlink()
    return f"folder {path.read_text()[:16]}"


def sync_folder(path: Path) -> None:
    """Sync the folder: only then is a new name durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path, start: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(length)
    except FileNotFoundError:
        raise BlobMissing from None
    if not data:
        raise BlobMissing
    return data
