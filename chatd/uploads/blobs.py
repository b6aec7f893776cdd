"""The interface of the stores for uploaded bytes: a folder (`folder_store`) or a bucket (`s3_store`).

The database stores the owner of each file. Keys are generated here and become paths, so other keys are rejected.
"""

import hashlib
import re
import secrets
from typing import NamedTuple, Protocol

from chatd.uploads.chunks import Chunks

KEY = re.compile(r"[0-9a-f]{40}")


class BlobMissing(Exception):
    """No blob has this key."""


class NoKey(BlobMissing, ValueError):
    """The key is malformed, so no blob has it."""


class Presigned(NamedTuple):
    """When a URL is signed and expires, in milliseconds, and the headers of the answer to it."""

    signed_at: int
    expires_at: int
    mime: str
    disposition: str


class Blobs(Protocol):
    """Bytes by key. All methods raise Refused (`unavailable`) if the store is unreachable or full."""

    async def identity(self) -> str:
        """An id of the store: the same for all nodes that use it, and different for other stores."""
        ...

    async def put(self, key: str, data: Chunks) -> None:
        """Store a blob. It is complete and durable when the call returns, and not readable before."""

    async def read(self, key: str, start: int, length: int) -> bytes:
        """Read at least one byte, and fewer than `length` only at the end. Raises BlobMissing."""
        ...

    async def delete(self, key: str) -> None:
        """Delete a blob. A missing blob is not an error."""

    def presigned(self, key: str, reply: Presigned) -> str | None:
        """A URL of the store with which clients download a blob; None if they download it from chatd."""
        ...


def new_key() -> str:
    """A random key of 160 bits."""
    return secrets.token_hex(20)


def path_of(key: str) -> str:
    """The path of a key, with two levels of folders to keep each folder small. Raises NoKey."""
    if not KEY.fullmatch(key):
        raise NoKey("not a valid file key")
    return f"{key[:2]}/{key[2:4]}/{key}"


def thumbnail_key(key: str) -> str:
    """The key of the thumbnail of a file. It follows from that of the file, so no thumbnail is ever forgotten."""
    return hashlib.sha256(f"thumbnail {key}".encode()).hexdigest()[:40]
