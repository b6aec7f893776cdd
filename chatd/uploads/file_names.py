"""The name that somebody gave a file. It is kept as a label and never used as a path."""

from urllib.parse import quote

from chatd.core.text_forms import shortened
from chatd.uploads.file_types import EXTENSIONS

MAX_LENGTH = 200


def label(name: str | None) -> str | None:
    """The last part, without what does not show, what turns the text around, and what would not fit; None for
    nothing.
    """
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return shortened(last, MAX_LENGTH, edges=".") or None


def disposition(kind: str, name: str | None, mime: str) -> str:
    """A Content-Disposition (RFC 6266): a name of ours for old clients, and the label in a form that cannot break
    out.
    """
    fallback = f'{kind}; filename="file.{EXTENSIONS.get(mime, "bin")}"'
    return f"{fallback}; filename*=UTF-8''{quote(name, safe='')}" if name else fallback
