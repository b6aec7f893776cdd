"""What the child processes of a daemon have in common."""

import os
import signal


def environment() -> dict[str, str]:
    """The environment without the settings of chatd, which may contain secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CHATD_")}


def end_of(code: int) -> str:
    return f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"it exited with code {code}"
