"""What `chatd check` and `chatd doctor` report, and what subsystems use to examine this machine."""

import errno
import getpass
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from msgspec import Struct

from chatd.core.config import Config

# Bytes that must fit into a folder.
MIN_FREE_BYTES = 65_536


class Finding(Struct):
    """One line of a report. `fix` is what to do; `code` is stable, so that scripts can rely on it.

    `ok` is false for a failure. With `warn` it is a warning instead.
    """

    what: str
    ok: bool
    detail: str
    fix: str = ""
    code: str = ""
    warn: bool = False

    @property
    def state(self) -> str:
        if not self.ok:
            return "fail"
        return "warn" if self.warn else "ok"


CheckSettings = Callable[[Config], Iterable[Finding]]
Check = Callable[[Config], Awaitable[Iterable[Finding]]]


def no_settings_to_check(config: Config) -> Iterable[Finding]:
    return ()


async def nothing_to_check(config: Config) -> Iterable[Finding]:
    return ()


def folder_finding(what: str, folder: Path, setting: str, code: str) -> Finding:
    """Whether a file can be written to a folder. If the folder does not exist, its nearest parent is tried."""
    folder = folder.absolute()
    try:
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryFile(dir=nearest, prefix=".chatd-check-") as file:
            file.write(bytes(MIN_FREE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Finding(what, False, f"{folder}: {error.strerror}", folder_fix(error, folder, setting), code)
    return Finding(what, True, str(folder), code=code)


def folder_fix(error: OSError, folder: Path, setting: str) -> str:
    other = f"or set {setting} to another folder"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"free space on that disk, {other}"
        case errno.EROFS:
            return f"mount the file system read-write, {other}"
        case errno.EACCES | errno.EPERM:
            return f"make it writable for {account_name()}: chown {os.getuid()} {folder}, {other}"
        case errno.ENOTDIR:
            return f"a part of this path is a file and must be a folder: move it, {other}"
        case _:
            return f"fix this problem, {other}"


def account_name() -> str:
    """The operating system account of this process. In a container a user id may have no account."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
