"""Decodes and re-encodes images, and makes thumbnails.

The new file contains no metadata of the old one (EXIF with positions, ICC, comments, XMP, previews, trailing data). The
orientation is applied first. GIF, WebP and AVIF stay animated; an animated PNG becomes its first frame. HEIC becomes
JPEG, because few browsers show it. Colours are interpreted as sRGB.

Pillow may use only the format that the first bytes show, and only files that `image_headers` has measured. It runs in a
process of its own, see `media/process.py`: 25 megapixels take seconds.
"""

import warnings
from io import BytesIO
from typing import Any, NamedTuple

from PIL import Image, ImageOps, ImageSequence, features

try:
    import pi_heif
except ImportError:
    pi_heif = None

from chatd.uploads.media.image_headers import BadImage, Measure, TooLarge, measure
from chatd.uploads.media.thumbhash import MAX_SIDE, thumbhash

FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
    "image/heic": "HEIF",
}
# The format of the new file, where it is another one.
STORED_AS = {"HEIF": "JPEG"}
# Modes that an encoder accepts; everything else becomes RGB, or RGBA.
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB"),
    "GIF": ("L", "P"),
    "WEBP": ("RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 88},
    "WEBP": {"quality": 85, "method": 2},
    "AVIF": {"quality": 75, "speed": 9, "max_threads": 1},
}
FRAME_MS = 100
# A thumbnail is a WebP that fits into a square of this size.
THUMBNAIL_SIDE = 400
THUMBNAIL_OPTIONS: dict[str, Any] = {"quality": 75, "method": 2}

# Pillow only warns up to twice its limit. Warning filters apply to the whole process.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
if pi_heif is not None:
    pi_heif.register_heif_opener(thumbnails=False)


class Picture(NamedTuple):
    """A new file, and what shows it before it is loaded. `thumbnail`: None if the file is as small itself."""

    data: bytes
    mime: str
    width: int
    height: int
    thumbnail: bytes | None
    placeholder: bytes


def reencode(data: bytes, mime: str, max_pixels: int) -> Picture:
    """Re-encode an image. Raises BadImage, or TooLarge."""
    size = measure(data, mime)
    if size.pixels > max_pixels:
        raise TooLarge(f"the image has {size.pixels} pixels; at most {max_pixels} are allowed")
    kind = FORMATS[mime]
    if not is_supported(kind):
        raise BadImage(f"this server does not support {mime}; send a JPEG")
    try:
        return decode_and_encode(data, kind, size)
    except MemoryError:
        raise TooLarge("the image needs too much memory") from None
    # Pillow raises almost any exception for malformed bytes.
    except Exception as error:
        raise BadImage("the image cannot be read") from error


def is_supported(kind: str) -> bool:
    """Whether a decoder for this format is installed. That of HEIC is optional: `chatd[media]`."""
    if kind == "HEIF":
        return pi_heif is not None
    return kind != "AVIF" or bool(features.check("avif"))


def decode_and_encode(data: bytes, kind: str, size: Measure) -> Picture:
    with Image.open(BytesIO(data), formats=[kind]) as image:
        if image.width * image.height * size.frames > size.pixels:
            raise BadImage("the image is larger than its header says")
        target = STORED_AS.get(kind, kind)
        if size.frames > 1:
            return animation(image, target)
        image.load()
        return encoded([plain(ImageOps.exif_transpose(image), target)], target)


def animation(image: Image.Image, kind: str) -> Picture:
    """All frames, each as a whole picture, and their durations."""
    frames, durations = [], []
    for frame in ImageSequence.Iterator(image):
        frames.append(frame.convert("RGBA"))
        # For WebP it is known only after the frame was decoded.
        durations.append(int(frame.info.get("duration") or FRAME_MS))
    if all(frame.getchannel("A").getextrema() == (255, 255) for frame in frames):
        frames = [frame.convert("RGB") for frame in frames]
    for frame in frames:
        frame.info = {}
    # The previous frame must not show through transparent parts of this one.
    disposal = {"disposal": 2} if kind == "GIF" and frames[0].mode == "RGBA" else {}
    loop = {"loop": image.info["loop"]} if "loop" in image.info and kind != "AVIF" else {}
    return encoded(frames, kind, save_all=True, append_images=frames[1:], duration=durations, **loop, **disposal)


def plain(image: Image.Image, kind: str) -> Image.Image:
    """The pixels in a mode that the encoder supports, without metadata except transparency."""
    kept: dict[Any, Any] = (
        {"transparency": image.info["transparency"]} if "transparency" in image.info and kind != "JPEG" else {}
    )
    if image.mode not in MODES[kind]:
        sees_through = image.has_transparency_data and kind != "JPEG"
        image, kept = image.convert("RGBA" if sees_through else "RGB"), {}
    else:
        image = image.copy()
    image.info = kept
    return image


def encoded(frames: list[Image.Image], kind: str, **options: Any) -> Picture:
    out = BytesIO()
    first = frames[0]
    first.save(out, kind, **OPTIONS.get(kind, {}), **options)
    mime = next(mime for mime, name in FORMATS.items() if name == kind)
    is_small = len(frames) == 1 and max(first.size) <= THUMBNAIL_SIDE
    small = shrunk(first, THUMBNAIL_SIDE)
    thumbnail = None if is_small else thumbnail_of(small)
    return Picture(out.getvalue(), mime, first.width, first.height, thumbnail, placeholder_of(small))


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """A copy in RGB or RGBA that fits into a square."""
    if image.mode == "I;16":
        # Its conversion clips 16 bits to 8 instead of scaling them.
        image = image.point(lambda value: value / 256).convert("L")
    copy = image.convert("RGBA" if image.has_transparency_data else "RGB")
    copy.thumbnail((side, side), reducing_gap=2.0)
    return copy


def thumbnail_of(image: Image.Image) -> bytes:
    out = BytesIO()
    image.info = {}
    image.save(out, "WEBP", **THUMBNAIL_OPTIONS)
    return out.getvalue()


def placeholder_of(image: Image.Image) -> bytes:
    small = shrunk(image, MAX_SIDE).convert("RGBA")
    return thumbhash(small.width, small.height, small.tobytes())
