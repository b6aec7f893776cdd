"""Loads the named statements of sql/<name>.sql: `SQL = load("conversations/sending")`, then `SQL.history_before`.

A subsystem outside of chatd has its own folder: `load("notes", Path(__file__).parent)`.

Each statement follows a header, `-- name: history_before`, and comments that describe it.
"""

import re
from functools import cache
from pathlib import Path

HEADER = re.compile(r"^-- name: ([a-z_][a-z0-9_]*)[ \t]*$", re.MULTILINE)
HERE = Path(__file__).parents[1]


class Queries:
    """The statements of one file as attributes."""

    def __init__(self, path: Path, statements: dict[str, str]) -> None:
        self._path = path
        self.statements = statements

    def __getattr__(self, name: str) -> str:
        try:
            return self.statements[name]
        except KeyError:
            raise AttributeError(f"{self._path.name} has no statement {name!r}") from None


def folder() -> Path:
    """sql/, which is inside the package in a wheel, and beside it in a checkout."""
    installed = HERE / "sql"
    return installed if installed.is_dir() else HERE.parent / "sql"


def names() -> list[str]:
    """The names of all files, for `load`."""
    files = (path.relative_to(folder()) for path in folder().glob("*/*.sql"))
    return sorted(str(path.with_suffix("")) for path in files)


@cache
def load(name: str, root: Path | None = None) -> Queries:
    """The statements of <root>/<name>.sql. `name` is "<subsystem>/<file>"; `root` is sql/ by default."""
    path = (root or folder()) / f"{name}.sql"
    return Queries(path, parse(path.read_text(encoding="utf8"), path.name))


def parse(text: str, source: str) -> dict[str, str]:
    _, *parts = HEADER.split(text)
    statements: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in statements:
            raise ValueError(f"{source}: statement {name!r} is defined twice")
        statements[name] = without_comments(body)
    return statements


def without_comments(body: str) -> str:
    """Remove comments, which Postgres would keep in every plan and log line."""
    return "\n".join(line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("--"))
