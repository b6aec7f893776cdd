"""Folders of tests that servers of an unprivileged user work in."""

from pathlib import Path


def open_to_all(folder: Path) -> Path:
    """Let everybody through to this folder: into itself, and what pytest has put around it. Nothing further out is touched."""
    for each in (folder, *folder.parents):
        if each == folder or each.name.startswith(("pytest-", "popen-")):
            each.mkdir(parents=True, exist_ok=True)
            each.chmod(0o755)
    return folder
