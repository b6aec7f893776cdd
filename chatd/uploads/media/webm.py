"""Reads the tracks of WebM (RFC 8794 and RFC 9559).

Browsers record it without a duration; then the time of the last block counts.
"""

import struct
from collections.abc import Iterator

from chatd.uploads.media.boxes import Malformed
from chatd.uploads.media.tracks import MAX_SIDE, Tracks, milliseconds

# Elements that are read. An hour of video has some hundred thousand blocks.
MAX_ELEMENTS = 1_000_000
# Elements of EBML and Matroska.
SEGMENT, INFO, SCALE, DURATION = 0x18538067, 0x1549A966, 0x2AD7B1, 0x4489
TRACKS, TRACK, TRACK_TYPE, VIDEO, WIDTH, HEIGHT = 0x1654AE6B, 0xAE, 0x83, 0xE0, 0xB0, 0xBA
CLUSTER, TIMESTAMP, SIMPLE_BLOCK, GROUP, BLOCK = 0x1F43B675, 0xE7, 0xA3, 0xA0, 0xA1
PARENTS = (SEGMENT, INFO, TRACKS, TRACK, VIDEO, CLUSTER, GROUP)
# A file that is recorded live does not say how long these are.
OPEN_ENDED = (SEGMENT, CLUSTER)
PICTURE_TRACK, SOUND_TRACK = 1, 2
# Nanoseconds of a tick, if the file names none.
USUAL_SCALE = 1_000_000


def read(data: bytes) -> Tracks:
    """The tracks of a WebM. Raises Malformed."""
    found = Tracks()
    scale, duration, cluster, last = USUAL_SCALE, 0.0, 0, 0
    for kind, start, end in elements(data):
        if kind == SCALE:
            scale = unsigned(data, start, end)
        elif kind == DURATION:
            duration = floating(data, start, end)
        elif kind == TRACK_TYPE:
            type_ = unsigned(data, start, end)
            sound, picture = found.sound or type_ == SOUND_TRACK, found.picture or type_ == PICTURE_TRACK
            found = found._replace(sound=sound, picture=picture)
        elif kind in (WIDTH, HEIGHT) and 0 < (side := unsigned(data, start, end)) <= MAX_SIDE:
            found = found._replace(width=side) if kind == WIDTH else found._replace(height=side)
        elif kind == TIMESTAMP:
            cluster = unsigned(data, start, end)
        elif kind in (SIMPLE_BLOCK, BLOCK):
            last = max(last, cluster + block_time(data, start, end))
    return found._replace(duration_ms=milliseconds((duration or last) * scale, 1e9))


def elements(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The elements without children, in their order: id, and where the content begins and ends. A truncated one is
    the last.
    """
    at = 0
    for _ in range(MAX_ELEMENTS):
        if at >= len(data):
            return
        kind, at = variable(data, at, keep_marker=True)
        size, start = variable(data, at, keep_marker=False)
        if kind in PARENTS:
            # Its children follow, so the position is enough.
            if size is None and kind not in OPEN_ENDED:
                raise Malformed("an element has no end")
            at = start
            continue
        if size is None:
            raise Malformed("an element has no end")
        if start + size > len(data):
            return
        assert kind is not None
        yield kind, start, start + size
        at = start + size
    raise Malformed("too many elements")


def variable(data: bytes, at: int, *, keep_marker: bool) -> tuple[int | None, int]:
    """A number of variable length, and the position after it. None: all of its bits are set."""
    if at >= len(data) or not data[at]:
        raise Malformed("a number is too long")
    length = 9 - data[at].bit_length()
    raw = data[at : at + length]
    if len(raw) < length:
        raise Malformed("a number is truncated")
    value = int.from_bytes(raw)
    bits = value & (1 << 7 * length) - 1
    if keep_marker:
        return value, at + length
    return None if bits == (1 << 7 * length) - 1 else bits, at + length


def unsigned(data: bytes, start: int, end: int) -> int:
    if end - start > 8:
        raise Malformed("a number is too long")
    return int.from_bytes(data[start:end])


def floating(data: bytes, start: int, end: int) -> float:
    kind = {4: ">f", 8: ">d"}.get(end - start)
    if kind is None:
        raise Malformed("not a floating-point number")
    (value,) = struct.unpack_from(kind, data, start)
    return float(value)


def block_time(data: bytes, start: int, end: int) -> int:
    """The time of a block within its cluster."""
    _, at = variable(data, start, keep_marker=False)
    if at + 2 > end:
        raise Malformed("a block is truncated")
    return int.from_bytes(data[at : at + 2], signed=True)
