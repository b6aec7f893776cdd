"""Stores the body of one request as parts of a file.

The bytes are kept in memory until they are a part; the last ones of the file never become one, because the file is made
of them at once. Parts count as received when they are stored. With a checksum they count all at once, after the whole
body.
"""

import hashlib
from contextlib import suppress
from typing import NamedTuple

from chatd.app.context import Node
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Tx
from chatd.uploads.admission import Slot
from chatd.uploads.blobs import BlobMissing, Blobs, new_key
from chatd.uploads.chunks import Chunks
from chatd.uploads.resumable.entities import Resumable
from chatd.uploads.resumable.protocol import Checksum

SQL = queries.load("uploads/resumable")
PART_BYTES = 1_048_576
# Parts of one file, besides those of full size: each request that breaks off makes a smaller one.
MAX_SMALL_PARTS = 1000


class Part(NamedTuple):
    """A blob with bytes of a file."""

    key: str
    size: int
    start: int


class ChecksumMismatch(Exception):
    """The body is not what the client sent."""


class Receiver:
    """Receives the bytes of one request.

    `end`: the position after them; `tail`: those that are not in a part. `received`: the position up to which bytes
    count as received; `pending`: parts after it that do not count yet.
    """

    def __init__(
        self, node: Node, upload: Resumable, slot: Slot, checksum: Checksum | None, part_bytes: int = PART_BYTES
    ) -> None:
        self.end = upload.received
        self.tail = Chunks()
        self._node = node
        self._upload = upload
        self._slot = slot
        self._checksum = checksum
        self._hasher = hashlib.new(checksum.algorithm) if checksum else None
        self._part_bytes = part_bytes
        self.received = upload.received
        self.pending: list[Part] = []

    @property
    def is_complete(self) -> bool:
        return self.end == self._upload.length

    async def feed(self, piece: bytes) -> None:
        """Take the next bytes. Raises Refused: `bad_request`, `conflict`, `too_large`, `unavailable`."""
        if self.end + len(piece) > self._upload.length:
            raise Refused("bad_request", "the body is longer than the rest of the file")
        self._slot.reserve_bytes(len(piece))
        self.tail.append(piece)
        self.end += len(piece)
        if self._hasher is not None:
            self._hasher.update(piece)
        if len(self.tail) >= self._part_bytes and not self.is_complete:
            await self._store()

    def verify(self) -> None:
        """Check the checksum of the whole body. Raises ChecksumMismatch."""
        if self._checksum is not None and self._hasher is not None and not self._checksum.matches(self._hasher):
            raise ChecksumMismatch

    async def save(self) -> None:
        """Store what has arrived, after `verify`. Raises Refused."""
        if self.tail:
            await self._store()
        if self._checksum is not None:
            await self._count()

    async def save_interrupted(self) -> None:
        """Store what has arrived of a body that broke off: without its checksum nothing counts."""
        if self._checksum is None:
            with suppress(Refused):
                await self.save()
        else:
            await self.discard()

    async def discard(self) -> None:
        """Delete the parts that do not count; the sweep repeats what fails."""
        keys, self.pending = [part.key for part in self.pending], []
        with suppress(Refused):
            await delete_blobs(self._node, keys)

    async def _store(self) -> None:
        data, key = self.tail, new_key()
        start = self.end - len(data)
        most = self._upload.length // self._part_bytes + MAX_SMALL_PARTS
        row = (self._upload.tenant, self._upload.id, [key], [len(data)], most)
        if await self._node.db.one(SQL.reserve_parts, *row) is None:
            raise Refused("conflict", "the upload has ended, or has too many parts")
        self.pending.append(Part(key, len(data), start))
        await self._node.get(Blobs).put(key, data)
        self.tail = Chunks()
        self._slot.release_bytes(len(data))
        if self._checksum is None:
            await self._count()

    async def _count(self) -> None:
        """Count the stored parts as received. Raises Refused: `conflict` if another request was faster."""
        end = self.end - len(self.tail)
        if not await self._node.db.in_transaction(advance, self._upload, self.received, end, self.pending):
            await self.discard()
            raise overtaken()
        self.received, self.pending = end, []


def overtaken() -> Refused:
    return Refused("conflict", "another request has continued this upload; ask for its offset")


async def advance(tx: Tx, upload: Resumable, start: int, end: int, parts: list[Part]) -> bool:
    """Count bytes as received; False if the upload is at another position, or has ended."""
    if await tx.one(SQL.advance, upload.tenant, upload.id, start, end) is None:
        return False
    await place(tx, upload, parts)
    return True


async def place(tx: Tx, upload: Resumable, parts: list[Part]) -> None:
    keys, starts = [part.key for part in parts], [part.start for part in parts]
    await tx.run(SQL.place_parts, upload.tenant, upload.id, keys, starts)


async def delete_blobs(node: Node, keys: list[str]) -> None:
    """Delete blobs and then their rows. Raises Refused: `unavailable`; it may be repeated."""
    for key in keys:
        with suppress(BlobMissing):
            await node.get(Blobs).delete(key)
    if keys:
        await node.db.run(SQL.release, keys)
