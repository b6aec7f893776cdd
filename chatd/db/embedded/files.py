"""Small files in the folder of an embedded server, read and written by a daemon that may be root.

The account of the server owns the folder and could create a link in it, so no link is followed.
"""

import os
from contextlib import suppress
from pathlib import Path

from chatd.db.embedded.account import Account

MAX_FILE_CHARACTERS = 65_536


def read(path: Path) -> str:
    """The text of a file, up to the size of the files that chatd writes."""
    with open(
        os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), encoding="utf8", errors="replace"
    ) as file:
        return file.read(MAX_FILE_CHARACTERS)


def write(folder: Path, name: str, text: str, account: Account | None) -> None:
    """Replace a file."""
    home = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        unfinished = f"{name}.new"
        with suppress(FileNotFoundError):
            os.unlink(unfinished, dir_fd=home)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=home)
        with open(descriptor, "w", encoding="utf8") as file:
            file.write(text)
            if account is not None:
                os.fchown(file.fileno(), account.uid, account.gid)
        os.rename(unfinished, name, src_dir_fd=home, dst_dir_fd=home)
    finally:
        os.close(home)
