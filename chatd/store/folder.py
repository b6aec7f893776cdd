"""Blobs as files of a folder that only this user may read.

A file is written under another name, forced to the disk, and renamed: under its key there is all of it or nothing. What a crash
leaves under the other name is overwritten by nobody and found by its ending, `.part`.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from chatd import log
from chatd.errors import Refused
from chatd.store.blobs import BlobMissing, path_of

LOG = log.get(__name__)
T = TypeVar("T")


class Folder:
    """See `blobs.Blobs`. Several processes may use one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, data: bytes) -> None:
        await within(lambda: write(self._path(key), data))

    async def read(self, key: str, start: int, length: int) -> bytes:
        return await within(lambda: read(self._path(key), start, length))

    async def delete(self, key: str) -> None:
        await within(lambda: self._path(key).unlink(missing_ok=True))

    def _path(self, key: str) -> Path:
        return self._root / path_of(key)


async def within(work: Callable[[], T]) -> T:
    """Run it in a thread. Raises Refused for what the disk does not do."""
    try:
        return await trio.to_thread.run_sync(work)
    except OSError as error:
        LOG.error("the folder of the uploads does not work", extra={"why": error.strerror})
        raise Refused("unavailable", "the files are away", retry_after=5) from None


def write(path: Path, data: bytes) -> None:
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    part = path.with_name(f"{secrets.token_hex(8)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """A new name is safe when its folder is."""
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
