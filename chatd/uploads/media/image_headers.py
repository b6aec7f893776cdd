"""Measures an image from its structure alone, before a decoder reads it.

A file of 13 KB may declare 108 million pixels; a file of a megabyte may have ten thousand frames, passes over the whole
image (progressive JPEG), or blocks that a decoder reads one by one. These functions count all of that, up to a limit,
and reject truncated files. Each function takes the file and returns a `Measure`; raises BadImage.

PNG: RFC 2083. JPEG: ITU T.81, annex B. GIF: the specification of 1990. WebP: RFC 9649. HEIC and AVIF: ISO 23008-12.
"""

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from chatd.uploads.media.boxes import Boxes, Malformed

# Chunks, segments and blocks of one file. A photo of 10 MB has a few thousand.
MAX_PARTS = 100_000
MAX_FRAMES = 500
# Passes over a progressive JPEG. Encoders make about ten.
MAX_SCANS = 64


class BadImage(Exception):
    """The image is invalid or not supported; the text names the reason and is sent to the client."""


class TooLarge(BadImage):
    """The image exceeds a limit."""


class Measure(NamedTuple):
    """The pixels of one frame, and the number of frames."""

    width: int
    height: int
    frames: int

    @property
    def pixels(self) -> int:
        return self.width * self.height * self.frames


def measure(data: bytes, mime: str) -> Measure:
    """Measure an image by its type. Raises BadImage, TooLarge."""
    try:
        found = MEASURES[mime](data)
    except (IndexError, struct.error, Malformed):
        raise BadImage("the image is truncated") from None
    if not (found.width and found.height and found.frames):
        raise BadImage("the image has no pixels")
    return found


def count_part(count: int) -> int:
    if count >= MAX_PARTS:
        raise TooLarge("the image has too many parts")
    return count + 1


def png(data: bytes) -> Measure:
    """Measure a PNG. An animation (acTL) counts as its first frame; the others are not decoded."""
    if data[12:16] != b"IHDR":
        raise BadImage("the image has no header")
    width, height = struct.unpack_from(">II", data, 16)
    at, parts, kind = 8, 0, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        at += length + 12
        parts = count_part(parts)
    if at > len(data):
        raise BadImage("the image is truncated")
    return Measure(width, height, 1)


# In the data of a scan, FF is followed by 00 or the number of a restart; everything else is a marker.
NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
END, SCAN = 0xD9, 0xDA


def jpeg(data: bytes) -> Measure:
    size, scans = None, 0
    for marker, at in jpeg_segments(data):
        if marker in FRAMES:
            if size is not None:
                raise BadImage("the image has more than one header")
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = Measure(width, height, 1)
        elif marker == SCAN:
            scans += 1
            if scans > MAX_SCANS:
                raise TooLarge("the image has too many passes")
    if size is None:
        raise BadImage("the image has no header")
    return size


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers and their positions, up to the end of the image; trailing data is ignored."""
    at, parts = 2, 0
    while True:
        found = NEXT_MARKER.search(data, at)
        if found is None:
            raise BadImage("the image is truncated")
        at, marker = found.start(), data[found.start() + 1]
        if marker == END:
            return
        yield marker, at
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + max(2, length)
        parts = count_part(parts)


def gif(data: bytes) -> Measure:
    """Measure a GIF. A frame may be larger than the screen, which then grows."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames, parts = 13 + palette(flags), 0, 0
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x2C:
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, at + 1)
            width, height = max(width, left + wide), max(height, top + high)
            frames += 1
            if frames > MAX_FRAMES:
                raise TooLarge("the image has too many frames")
            at += 11 + palette(flags)
        elif data[at] == 0x21:
            at += 2
        else:
            raise BadImage("the image has a block of an unknown type")
        while data[at]:
            at += data[at] + 1
            parts = count_part(parts)
        at, parts = at + 1, count_part(parts)
    return Measure(width, height, frames)


def palette(flags: int) -> int:
    """The size in bytes of the colour table that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def webp(data: bytes) -> Measure:
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        raise BadImage("the image is truncated")
    width = height = frames = parts = 0
    at, end = 12, length + 8
    while at + 8 <= end:
        kind, size = struct.unpack_from("<4sI", data, at)
        wide, high = webp_size(data, kind, at + 8)
        width, height = max(width, wide), max(height, high)
        frames += kind == b"ANMF"
        if frames > MAX_FRAMES:
            raise TooLarge("the image has too many frames")
        at, parts = at + 8 + size + (size & 1), count_part(parts)
    return Measure(width, height, max(1, frames))


def webp_size(data: bytes, kind: bytes, at: int) -> tuple[int, int]:
    """The size in a chunk; zero if it contains none."""
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[at + 4 : at + 7], "little"), 1 + int.from_bytes(data[at + 7 : at + 10], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, at + 1)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, at + 6)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def avif(data: bytes) -> Measure:
    return heif(data, count_frames=True)


def heif(data: bytes, count_frames: bool = False) -> Measure:
    """Measure the largest image; tiles and thumbnails are smaller. An animated HEIC counts as its main image."""
    boxes = Boxes(data)
    size = Measure(0, 0, 1)
    for extent in boxes.everywhere(b"meta", b"iprp", b"ipco", b"ispe"):
        width, height = (boxes.number(extent.start + at, 4, extent.end) for at in (4, 8))
        size = max(size, Measure(width, height, 1), key=lambda one: one.pixels)
    frames = 1
    for table in boxes.everywhere(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz"):
        frames = max(frames, boxes.number(table.start + 8, 4, table.end))
    if count_frames and frames > MAX_FRAMES:
        raise TooLarge("the image has too many frames")
    return size._replace(frames=frames if count_frames else 1)


MEASURES: dict[str, Callable[[bytes], Measure]] = {
    "image/png": png,
    "image/jpeg": jpeg,
    "image/gif": gif,
    "image/webp": webp,
    "image/avif": avif,
    "image/heic": heif,
}
