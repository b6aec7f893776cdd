"""The identities of `chatd chat` on this machine, one per name."""

import json
import os
import string
from hashlib import sha256
from pathlib import Path

import msgspec

PLAIN = frozenset(string.ascii_lowercase + string.digits + "-_")
MAX_FILE_NAME = 100


class StateLost(Exception):
    """The identity could not be stored."""


def state_file(name: str) -> Path:
    """The file of the identity `name`; only its owner can read it."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(home) / "chatd" / f"{file_name(name)}.json"


def file_name(name: str) -> str:
    """A different file name for each name, also on file systems that ignore case."""
    quoted = "".join(char if char in PLAIN else f"%{char.encode().hex()}" for char in name)
    return quoted if len(quoted) <= MAX_FILE_NAME else f"{quoted[:MAX_FILE_NAME]}%{sha256(name.encode()).hexdigest()}"


def load_state(name: str) -> dict[str, str]:
    """Read a stored identity: `device` and `user`; empty if the file does not exist or is invalid."""
    try:
        return msgspec.json.decode(state_file(name).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def save_state(name: str, state: dict[str, str]) -> None:
    """Store an identity. Raises StateLost if the file cannot be written."""
    path = state_file(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf8") as file:
            json.dump(state, file)
    except OSError as error:
        raise StateLost(
            f"{path} cannot be written ({error.strerror}); set XDG_STATE_HOME to a writable folder"
        ) from error
