"""Reads the tracks of MP4 (ISO 14496-12)."""

from chatd.uploads.media.boxes import Box, Boxes, Malformed
from chatd.uploads.media.tracks import MAX_SIDE, Tracks, milliseconds

# Flags of a fragment of a track (`tfhd`) and of a run of samples (`trun`), and the bytes of what they announce.
BASE_OFFSET, DESCRIPTION, DEFAULT_DURATION = 0x1, 0x2, 0x8
DATA_OFFSET, FIRST_FLAGS, DURATION = 0x1, 0x4, 0x100
SAMPLE_FIELDS = (DURATION, 0x200, 0x400, 0x800)
# Samples of all fragments that are read: an hour of video and sound.
MAX_SAMPLES = 500_000


def read(data: bytes) -> Tracks:
    """The tracks of an MP4. Raises Malformed."""
    boxes = Boxes(data)
    found = Tracks()
    for movie in boxes.everywhere(b"moov"):
        for track in boxes.find(movie.start, movie.end, b"trak"):
            found = with_track(boxes, track, found)
        found = found._replace(duration_ms=header_duration(boxes, movie) or fragments_duration(boxes, movie))
    return found


def with_track(boxes: Boxes, track: Box, found: Tracks) -> Tracks:
    for handler in boxes.find(track.start, track.end, b"mdia", b"hdlr"):
        kind = boxes.data[handler.start + 8 : handler.start + 12]
        if kind == b"soun":
            found = found._replace(sound=True)
        elif kind == b"vide":
            found = found._replace(picture=True)
            for header in boxes.find(track.start, track.end, b"tkhd"):
                width, height = size_of(boxes, header)
                if 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE:
                    found = found._replace(width=width, height=height)
    return found


def size_of(boxes: Boxes, header: Box) -> tuple[int, int]:
    """Width and height, as they are shown: a telephone held upright records a rotated picture."""
    long_times = boxes.number(header.start, 1, header.end) == 1
    matrix = header.start + (52 if long_times else 40)
    width = boxes.number(matrix + 36, 4, header.end) >> 16
    height = boxes.number(matrix + 40, 4, header.end) >> 16
    is_turned = boxes.number(matrix, 4, header.end) == 0 and boxes.number(matrix + 4, 4, header.end) != 0
    return (height, width) if is_turned else (width, height)


def header_duration(boxes: Boxes, movie: Box) -> int | None:
    """Milliseconds, by the header of the movie or of its fragments."""
    for header in boxes.find(movie.start, movie.end, b"mvhd"):
        at, size = (20, 8) if boxes.number(header.start, 1, header.end) == 1 else (12, 4)
        scale = boxes.number(header.start + at, 4, header.end)
        length = boxes.number(header.start + at + 4, size, header.end)
        for fragments in boxes.find(movie.start, movie.end, b"mvex", b"mehd"):
            size = 8 if boxes.number(fragments.start, 1, fragments.end) == 1 else 4
            length = length or boxes.number(fragments.start + 4, size, fragments.end)
        if length and length != 256**size - 1:
            return milliseconds(length, scale)
    return None


def fragments_duration(boxes: Boxes, movie: Box) -> int | None:
    """Milliseconds, by the samples of fragments: browsers record files whose header names no duration."""
    scales = {}
    for track in boxes.find(movie.start, movie.end, b"trak"):
        for header in boxes.find(track.start, track.end, b"tkhd"):
            for media in boxes.find(track.start, track.end, b"mdia", b"mdhd"):
                scales[numbered(boxes, header)] = boxes.number(media.start + skip_times(boxes, media), 4, media.end)
    usual = {
        boxes.number(box.start + 4, 4, box.end): boxes.number(box.start + 12, 4, box.end)
        for box in boxes.find(movie.start, movie.end, b"mvex", b"trex")
    }
    ends: dict[int, int] = {}
    left = MAX_SAMPLES
    for fragment in boxes.everywhere(b"moof", b"traf"):
        for header in boxes.find(fragment.start, fragment.end, b"tfhd"):
            track_id = boxes.number(header.start + 4, 4, header.end)
            each = sample_duration(boxes, header, usual.get(track_id, 0))
            start = ends.get(track_id, 0)
            for time in boxes.find(fragment.start, fragment.end, b"tfdt"):
                size = 8 if boxes.number(time.start, 1, time.end) == 1 else 4
                start = boxes.number(time.start + 4, size, time.end)
            for run in boxes.find(fragment.start, fragment.end, b"trun"):
                count = boxes.number(run.start + 4, 4, run.end)
                left -= count
                if left < 0:
                    raise Malformed("too many samples")
                start += run_duration(boxes, run, count, each)
            ends[track_id] = max(start, ends.get(track_id, 0))
    found = [milliseconds(end, scales.get(track_id, 0)) for track_id, end in ends.items()]
    return max((one for one in found if one is not None), default=None)


def numbered(boxes: Boxes, header: Box) -> int:
    """The number of a track, in its header."""
    return boxes.number(header.start + skip_times(boxes, header), 4, header.end)


def skip_times(boxes: Boxes, header: Box) -> int:
    """The position after version, flags and two times."""
    return 20 if boxes.number(header.start, 1, header.end) == 1 else 12


def sample_duration(boxes: Boxes, header: Box, usual: int) -> int:
    """The duration of a sample that names none."""
    flags = boxes.number(header.start + 1, 3, header.end)
    if not flags & DEFAULT_DURATION:
        return usual
    at = header.start + 8 + (8 if flags & BASE_OFFSET else 0) + (4 if flags & DESCRIPTION else 0)
    return boxes.number(at, 4, header.end)


def run_duration(boxes: Boxes, run: Box, count: int, each: int) -> int:
    flags = boxes.number(run.start + 1, 3, run.end)
    if not flags & DURATION:
        return count * each
    at = run.start + 8 + (4 if flags & DATA_OFFSET else 0) + (4 if flags & FIRST_FLAGS else 0)
    step = 4 * sum(1 for field in SAMPLE_FIELDS if flags & field)
    return sum(boxes.number(at + step * sample, 4, run.end) for sample in range(count))
