"""The interface of the stores for uploaded bytes: a folder (`folder_store`) or a bucket (`s3_store`).

The database stores the owner of each file. Keys are generated here and become paths, so other keys are rejected.
"""

import re
import secrets
from typing import Protocol

KEY = re.compile(r"[0-9a-f]{40}")


class BlobMissing(Exception):
    """There is nothing under this key."""


class NoKey(BlobMissing, ValueError):
    """The key is malformed, so no blob has it."""


class Blobs(Protocol):
    """Bytes by key. All raise Refused (`unavailable`) when the store is away, or full."""

    async def identity(self) -> str:
        """The same for all nodes that use this store, and for no other store."""
        ...

    async def put(self, key: str, data: bytes) -> None:
        """Whole and for good when it returns; nothing can be read before."""

    async def read(self, key: str, start: int, length: int) -> bytes:
        """At least one byte, fewer than `length` only at the end. Raises BlobMissing."""
        ...

    async def delete(self, key: str) -> None:
        """Delete a blob. A missing blob is not an error."""


def new_key() -> str:
    """160 random bits."""
    return secrets.token_hex(20)


def path_of(key: str) -> str:
    """Two levels of folders, so that none becomes large. Raises NoKey."""
    if not KEY.fullmatch(key):
        raise NoKey("not a valid file key")
    return f"{key[:2]}/{key[2:4]}/{key}"
