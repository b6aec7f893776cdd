"""The original name of an uploaded file. It is stored as a label and never used as a path."""

from urllib.parse import quote

from chatd.core.text_forms import shortened
from chatd.uploads.file_types import EXTENSIONS

MAX_LENGTH = 200


def label(name: str | None) -> str | None:
    """The last part of the name, shortened, without invisible characters and those that change the direction of the
    text; None if nothing is left.
    """
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return shortened(last, MAX_LENGTH, edges=".") or None


def disposition(kind: str, name: str | None, mime: str) -> str:
    """A Content-Disposition (RFC 6266): a neutral name for old clients, and the original name, percent-encoded."""
    fallback = f'{kind}; filename="file.{EXTENSIONS.get(mime, "bin")}"'
    return f"{fallback}; filename*=UTF-8''{quote(name, safe='')}" if name else fallback
