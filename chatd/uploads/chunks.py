"""The bytes of a file in chunks: no step of the event loop copies, joins or hashes a whole file."""

import hashlib
from collections.abc import Iterator

# A step that copies or encrypts a chunk takes less than a millisecond.
CHUNK_BYTES = 262_144


class Chunks:
    """A file that grows. All chunks but the last one have `CHUNK_BYTES`, however small the pieces are that arrive."""

    def __init__(self) -> None:
        self._full: list[bytes] = []
        self._last = bytearray()

    @classmethod
    def of(cls, data: bytes) -> "Chunks":
        made = cls()
        made.append(data)
        return made

    def __len__(self) -> int:
        return CHUNK_BYTES * len(self._full) + len(self._last)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._full
        if self._last:
            yield bytes(self._last)

    def append(self, piece: bytes) -> None:
        """Add bytes: one step of the event loop, so not many chunks at once."""
        at = 0
        while at < len(piece):
            end = at + CHUNK_BYTES - len(self._last)
            self._last += piece[at:end]
            at = end
            if len(self._last) == CHUNK_BYTES:
                self._full.append(bytes(self._last))
                self._last.clear()

    @property
    def first(self) -> bytes:
        """The first chunk."""
        return next(iter(self), b"")

    def sha256(self) -> bytes:
        """The digest. It takes a thread: a large file is much work."""
        hasher = hashlib.sha256()
        for chunk in self:
            hasher.update(chunk)
        return hasher.digest()
