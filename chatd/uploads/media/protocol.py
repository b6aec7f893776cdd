"""What a daemon and the processes that read files for it send each other. The daemon itself imports no decoder."""

import sys

from msgspec import Struct, json

from chatd.uploads.file_types import IMAGES

# The types about which a process knows more than their first bytes say.
INSPECTED = (
    *IMAGES,
    "video/mp4",
    "video/webm",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/flac",
)


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The facts of a file. `duration_ms` in milliseconds; `waveform`: each byte a loudness from 0 to 100."""

    mime: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    placeholder: bytes | None = None
    waveform: bytes | None = None


class Inspected(Struct, frozen=True):
    """The facts, the new content of an image (None: the file stays as it is), and its thumbnail."""

    facts: Facts
    content: bytes | None = None
    thumbnail: bytes | None = None


class Limits(Struct, frozen=True):
    """The limits of one process: the largest file, pixels, and seconds for one file."""

    max_bytes: int
    max_pixels: int
    seconds: float


class Job(Struct, frozen=True):
    """A file to inspect; `size` bytes follow."""

    mime: str
    size: int


class Outcome(Struct, frozen=True, omit_defaults=True):
    """The result: the facts, and the sizes of the files that follow; or the code and text of a refusal."""

    facts: Facts | None = None
    content: int | None = None
    thumbnail: int | None = None
    code: str = ""
    message: str = ""


def arguments(limits: Limits) -> list[str]:
    """The command line. -P: the working directory is no place for modules."""
    return [sys.executable, "-P", "-m", "chatd.uploads.media.process", json.encode(limits).decode()]
