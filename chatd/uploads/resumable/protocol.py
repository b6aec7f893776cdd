"""The headers of tus 1.0.0 (https://tus.io/protocols/resumable-upload): the core protocol, and the extensions creation,
creation-with-upload, expiration, termination and checksum.
"""

import hashlib
from base64 import b64decode
from binascii import Error as Base64Error
from typing import NamedTuple

from chatd.core.errors import Refused
from chatd.uploads.events import PATH

TUS_PATH = f"{PATH}/tus"
VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination,checksum"
ALGORITHMS = ("sha1", "sha256")
BODY_TYPE = "application/offset+octet-stream"
CHECKSUM_MISMATCH = 460
MAX_METADATA = 2048
MAX_DIGITS = 16


class Checksum(NamedTuple):
    """What the body of a request must have as its digest."""

    algorithm: str
    digest: bytes

    def matches(self, hasher: "hashlib._Hash") -> bool:
        return hasher.digest() == self.digest


def whole_number(header: str, text: str | None) -> int:
    """The number in a header. Raises Refused: `bad_request`."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS:
        raise Refused("bad_request", f"{header}: expected a number")
    return int(text)


def checksum_of(text: str | None) -> Checksum | None:
    """The checksum in Upload-Checksum. Raises Refused: `bad_request`."""
    if text is None:
        return None
    algorithm, _, encoded = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise Refused("bad_request", f"Upload-Checksum: expected one of {', '.join(ALGORITHMS)}")
    return Checksum(algorithm, decoded("Upload-Checksum", encoded))


def metadata_of(text: str) -> dict[str, str]:
    """The pairs of Upload-Metadata. Raises Refused: `bad_request`."""
    if len(text) > MAX_METADATA or not text.isascii() or not text.isprintable():
        raise Refused("bad_request", f"Upload-Metadata: expected at most {MAX_METADATA} characters of ASCII")
    found = dict[str, str]()
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = pair.partition(" ")
        if key in found:
            raise Refused("bad_request", "Upload-Metadata: a key is given twice")
        try:
            found[key] = decoded("Upload-Metadata", value.strip()).decode()
        except UnicodeDecodeError:
            raise Refused("bad_request", "Upload-Metadata: expected UTF-8") from None
    return found


def decoded(header: str, text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise Refused("bad_request", f"{header}: expected base64") from None
