"""The paths of the sockets of the embedded servers, and the process that listens on one."""

import os
import socket
import stat
import struct
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from chatd.db.embedded.account import Account
from chatd.db.embedded.folder_lock import OTHERS, EmbeddedError

# sockaddr_un.sun_path holds 108 bytes with its final NUL (unix(7)).
MAX_SOCKET_BYTES = 107
CONNECT_TIMEOUT_S = 1.0
# <sys/un.h> of macOS, which has no SO_PEERCRED.
SOL_LOCAL, LOCAL_PEERPID = 0, 2


def socket_folder(folder: Path, name: str) -> Path:
    """The folder of the socket `name` of the server on `folder`: that folder, or a short one that replaces it."""
    return folder if fits(folder / name) else substitute(folder) or folder


def make_socket_folder(folder: Path, name: str, account: Account | None) -> Path:
    """Like `socket_folder`, created if it does not exist.

    The name of a short folder cannot be guessed; a link beside `folder` points to it. Raises EmbeddedError.
    """
    if fits(folder / name):
        return folder
    found = substitute(folder)
    if found is None:
        found = Path(tempfile.mkdtemp(prefix="chatd-"))
        if account is not None:
            os.chown(found, account.uid, account.gid)
        with suppress(FileNotFoundError):
            link_of(folder).unlink()
        link_of(folder).symlink_to(found)
    if not fits(found / name):
        raise EmbeddedError(f"the path {found} is too long for a socket. Set a shorter data.dir or TMPDIR.")
    return found


def fits(path: Path) -> bool:
    """Whether this path can be the address of a socket. In the address of a database a comma separates hosts."""
    return len(os.fsencode(path)) <= MAX_SOCKET_BYTES and "," not in str(path)


def link_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".sockets")


def substitute(folder: Path) -> Path | None:
    """The folder that replaces one with a long path, if it exists and is private."""
    try:
        target = Path(os.readlink(link_of(folder)))
        found, owners = target.lstat(), (os.geteuid(), folder.lstat().st_uid)
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_mode & OTHERS == 0 and found.st_uid in owners
    return target if private else None


def listener(path: Path) -> int | None:
    """The process that listens on a socket; None if there is none, or if its user does not own the folder of the
    socket.
    """
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(CONNECT_TIMEOUT_S)
        try:
            peer.connect(str(path))
            owner = path.parent.lstat().st_uid
            if sys.platform == "darwin":
                return struct.unpack("i", peer.getsockopt(SOL_LOCAL, LOCAL_PEERPID, 4))[0] or None
            pid, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:
            return None
    return pid if pid > 0 and uid == owner else None
