"""What a video or a sound says about its tracks, see `mp4` and `webm`. Nothing is decoded."""

from typing import NamedTuple

# Pixels; what is larger is an error of the file.
MAX_SIDE = 65_535
# Milliseconds; what is longer is an error of the file.
MAX_DURATION_MS = 1_000 * 86_400


class Tracks(NamedTuple):
    """The tracks of a file: whether it has sound and a picture, the size of the picture, the duration."""

    sound: bool = False
    picture: bool = False
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None


def milliseconds(length: float, scale: float) -> int | None:
    """None if the duration is impossible."""
    if not scale > 0 or not 0 < length < float("inf"):
        return None
    made = length * 1000 / scale
    return max(1, round(made)) if made <= MAX_DURATION_MS else None
