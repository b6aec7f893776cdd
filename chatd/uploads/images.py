"""Decodes and re-encodes images. The new file contains no metadata of the old one (EXIF with positions, ICC, comments,
XMP, previews, trailing data). The orientation is applied first.

GIF and WebP stay animated; an animated PNG becomes its first frame. Colours are interpreted as sRGB. Pillow may use
only the format that the first bytes show, and only files that `image_headers` has measured. Run it in a thread: 25
megapixels take seconds.
"""

import warnings
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps, ImageSequence

from chatd.uploads.image_headers import BadImage, Measure, TooLarge, measure

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
# Modes that an encoder accepts; everything else becomes RGB, or RGBA.
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB"),
    "GIF": ("L", "P"),
    "WEBP": ("RGB", "RGBA"),
}
OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 88}, "WEBP": {"quality": 85, "method": 2}}
FRAME_MS = 100

# Pillow only warns up to twice its limit. Warning filters apply to the whole process.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def reencode(data: bytes, mime: str, max_pixels: int) -> tuple[bytes, int, int]:
    """Re-encode an image: the new file, its width and its height. Raises BadImage, or TooLarge."""
    size = measure(data, mime)
    if size.pixels > max_pixels:
        raise TooLarge(f"the image has {size.pixels} pixels; at most {max_pixels} are allowed")
    try:
        return decode_and_encode(data, FORMATS[mime], size)
    # Pillow raises almost any exception for malformed bytes.
    except Exception as error:
        raise BadImage("the image cannot be read") from error


def decode_and_encode(data: bytes, kind: str, size: Measure) -> tuple[bytes, int, int]:
    with Image.open(BytesIO(data), formats=[kind]) as image:
        if image.width * image.height * size.frames > size.pixels:
            raise BadImage("the image is larger than its header says")
        if size.frames > 1:
            return animation(image, kind)
        image.load()
        return encoded([plain(ImageOps.exif_transpose(image), kind)], kind)


def animation(image: Image.Image, kind: str) -> tuple[bytes, int, int]:
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
    loop = {"loop": image.info["loop"]} if "loop" in image.info else {}
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


def encoded(frames: list[Image.Image], kind: str, **options: Any) -> tuple[bytes, int, int]:
    out = BytesIO()
    frames[0].save(out, kind, **OPTIONS.get(kind, {}), **options)
    return out.getvalue(), frames[0].width, frames[0].height
