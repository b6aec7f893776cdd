"""Boxes of ISO 14496-12: the containers of MP4, HEIC and AVIF. Nothing is decoded."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

# Boxes of one file that are read; a long film in fragments has some thousands.
MAX_BOXES = 20_000


class Malformed(Exception):
    """The boxes do not fit into each other, or there are too many."""


class Box(NamedTuple):
    """A box: the type, and where its content begins and ends."""

    kind: bytes
    start: int
    end: int


class Boxes:
    """The boxes of one file. Raises Malformed."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._left = MAX_BOXES

    def within(self, start: int, end: int) -> Iterator[Box]:
        """The boxes from one position to another; the last one may be truncated."""
        while start + 8 <= end:
            if not self._left:
                raise Malformed("too many boxes")
            self._left -= 1
            length, kind = struct.unpack_from(">I4s", self.data, start)
            head = 8
            if length == 1:
                if start + 16 > end:
                    return
                (length,) = struct.unpack_from(">Q", self.data, start + 8)
                head = 16
            length = length or end - start
            if length < head:
                raise Malformed("a box is smaller than its header")
            yield Box(kind, start + head, min(start + length, end))
            start += length

    def find(self, start: int, end: int, *path: bytes) -> Iterator[Box]:
        """All boxes at a path."""
        for box in self.within(start, end):
            if box.kind == path[0]:
                if len(path) == 1:
                    yield box
                else:
                    # `meta` begins with a version and flags.
                    inner = box.start + (4 if box.kind == b"meta" else 0)
                    yield from self.find(inner, box.end, *path[1:])

    def everywhere(self, *path: bytes) -> Iterator[Box]:
        return self.find(0, len(self.data), *path)

    def number(self, at: int, size: int, end: int) -> int:
        """An unsigned number. Raises Malformed."""
        if at + size > end:
            raise Malformed("a box is truncated")
        return int.from_bytes(self.data[at : at + size])
