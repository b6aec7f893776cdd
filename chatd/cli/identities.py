"""Who `chatd chat` is, under each name that was used on this machine."""

import json
import os
from pathlib import Path
from typing import Any


class StateLost(Exception):
    """Who this is could not be remembered."""


def state_file(name: str) -> Path:
    """Where the identity of `name` is kept; readable by its owner only."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    safe = "".join(char if char.isalnum() else "_" for char in name)[:60]
    return Path(home) / "chatd" / f"{safe}.json"


def load_state(name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(state_file(name).read_text(encoding="utf8")))
    except (OSError, ValueError):
        return {}


def save_state(name: str, state: dict[str, Any]) -> None:
    """Raises StateLost when there is no place for it."""
    path = state_file(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf8") as file:
            json.dump(state, file)
    except OSError as error:
        raise StateLost(f"{path} cannot be written ({error.strerror}); set XDG_STATE_HOME to a folder of yours") from error
