"""The identities of `chatd chat` on this machine, one per name."""

import json
import os
from pathlib import Path
from typing import Any


class StateLost(Exception):
    """The identity could not be stored."""


def state_file(name: str) -> Path:
    """The file of the identity `name`; only its owner can read it."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    safe = "".join(char if char.isalnum() else "_" for char in name)[:60]
    return Path(home) / "chatd" / f"{safe}.json"


def load_state(name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(state_file(name).read_text(encoding="utf8")))
    except (OSError, ValueError):
        return {}


def save_state(name: str, state: dict[str, Any]) -> None:
    """Store an identity. Raises StateLost if the file cannot be written."""
    path = state_file(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf8") as file:
            json.dump(state, file)
    except OSError as error:
        raise StateLost(f"{path} cannot be written ({error.strerror}); set XDG_STATE_HOME to a writable folder") from error
