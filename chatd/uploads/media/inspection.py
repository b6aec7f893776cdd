"""What a file contains: its type, size in pixels, duration, thumbnail, placeholder and waveform.

Images become new files. Sound and video stay as they are; what cannot be read of them is left out, and a truncated one
is stored like any other file.
"""

from chatd.uploads.file_types import IMAGES
from chatd.uploads.media import mp4, sound, webm
from chatd.uploads.media.boxes import Malformed
from chatd.uploads.media.images import reencode
from chatd.uploads.media.protocol import Facts, Inspected

CONTAINERS = {"video/mp4": mp4.read, "video/webm": webm.read}


def inspect(data: bytes, mime: str, max_pixels: int) -> Inspected:
    """Inspect a file of one of the types `INSPECTED`. Raises BadImage, TooLarge."""
    if mime in IMAGES:
        picture = reencode(data, mime, max_pixels)
        facts = Facts(mime=picture.mime, width=picture.width, height=picture.height, placeholder=picture.placeholder)
        return Inspected(facts, picture.data, picture.thumbnail)
    if mime in CONTAINERS:
        return Inspected(facts_of_container(data, mime))
    return Inspected(Facts(mime=mime, duration_ms=sound.duration_ms(data), waveform=sound.waveform(data)))


def facts_of_container(data: bytes, mime: str) -> Facts:
    try:
        found = CONTAINERS[mime](data)
    except Malformed:
        return Facts(mime=mime)
    if found.sound and not found.picture:
        mime = mime.replace("video/", "audio/")
    return Facts(mime=mime, width=found.width, height=found.height, duration_ms=found.duration_ms)
