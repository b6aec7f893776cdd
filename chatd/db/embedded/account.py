"""The operating-system account of the embedded servers.

A daemon that is not root runs them under its own account. A daemon of root runs them under the system account `chatd`:
Postgres refuses to run as root, and a fault in a server must not reach beyond its own data. The account has no
capabilities. It cannot enter the data folder by path; its servers start with their own folder as the working directory.
"""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatd.db.embedded.folder_lock import EmbeddedError

NAME = "chatd"
ROOT, NOBODY = 0, 65534
CREATE = ("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged account for the processes of root."""

    uid: int
    gid: int

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `subprocess.Popen`."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def account_for(folder: Path) -> Account | None:
    """The account of the server on `folder`, which need not exist yet; None: the account of this process. Raises
    EmbeddedError.

    For root: the owner of the folder, or the system account if that is root or `nobody`, which unrelated processes
    share.
    """
    ours = os.geteuid()
    found = folder.lstat() if os.path.lexists(folder) else None
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise EmbeddedError(f"{folder} is not a folder. Remove it, or set data.dir.")
    if ours != ROOT:
        if found is not None and found.st_uid != ours:
            raise EmbeddedError(
                f"{folder} belongs to {name_of(found.st_uid)}: run chatd as that user, or set data.dir."
            )
        return None
    if found is not None and found.st_uid not in (ROOT, NOBODY):
        return Account(found.st_uid, found.st_gid)
    return system_account()


def system_account() -> Account:
    """The account `chatd`, created if it does not exist. Raises EmbeddedError."""
    found = lookup()
    if found is None:
        tool = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        reason = "the program useradd is not installed"
        if tool is not None:
            done = subprocess.run([tool, *CREATE, NAME], capture_output=True, check=False)  # noqa: S603
            reason = done.stderr.decode(errors="replace").strip()
        found = lookup()
        if found is None:
            raise EmbeddedError(
                f"the embedded servers do not run as root, and the system account {NAME} cannot be created ({reason}). "
                "Create it, run chatd as another user, or set postgres.dsn and redis.url."
            )
    if found.uid in (ROOT, NOBODY):
        raise EmbeddedError(
            f"the account {NAME} has the uid {found.uid}, which other programs share. Give it another uid, or run "
            "chatd as another user."
        )
    return found


def lookup() -> Account | None:
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def name_of(uid: int) -> str:
    """The name of an account, for messages."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def give(folder: Path, account: Account) -> None:
    """Make the account the owner of a folder and its content.

    No link is followed. Raises EmbeddedError for a file with several hard links.
    """
    os.chown(folder, ROOT, ROOT, follow_symlinks=False)
    for path, _, names, descriptor in os.fwalk(folder, follow_symlinks=False):
        os.fchown(descriptor, account.uid, account.gid)
        for name in names:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
                raise EmbeddedError(
                    f"{Path(path) / name} has several hard links and is not given to {NAME}. Remove the other links."
                )
            os.chown(name, account.uid, account.gid, dir_fd=descriptor, follow_symlinks=False)
