"""Detects the type of a file from its first bytes. The name of the file and the declared type are ignored.

All other files are `application/octet-stream`, which browsers only download. SVG, HTML and XML are not in the list.
"""

from typing import NamedTuple

UNKNOWN = "application/octet-stream"
# These are decoded and re-encoded, see `images`.
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/heic")
# A browser may display these inline; all others are downloads.
INLINE = (
    *IMAGES,
    "video/mp4",
    "video/webm",
    "audio/mpeg",
    "audio/mp4",
    "audio/webm",
    "audio/ogg",
    "audio/wav",
    "audio/flac",
)
EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/heic": "heic",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/webm": "weba",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "application/pdf": "pdf",
}


class Magic(NamedTuple):
    """Bytes at an offset, and the type that they identify."""

    offset: int
    text: bytes
    mime: str


MAGICS = (
    Magic(0, b"\x89PNG\r\n\x1a\n", "image/png"),
    Magic(0, b"\xff\xd8\xff", "image/jpeg"),
    Magic(0, b"GIF87a", "image/gif"),
    Magic(0, b"GIF89a", "image/gif"),
    Magic(0, b"OggS\x00", "audio/ogg"),
    Magic(0, b"fLaC", "audio/flac"),
    Magic(0, b"%PDF-", "application/pdf"),
    Magic(0, b"ID3", "audio/mpeg"),
    # MPEG-1 and MPEG-2, layer III, with and without a checksum.
    Magic(0, b"\xff\xfb", "audio/mpeg"),
    Magic(0, b"\xff\xfa", "audio/mpeg"),
    Magic(0, b"\xff\xf3", "audio/mpeg"),
    Magic(0, b"\xff\xf2", "audio/mpeg"),
)
RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
# Brands of ISO 14496-12; others are QuickTime and future formats.
MP4 = (
    b"isom",
    b"iso2",
    b"iso4",
    b"iso5",
    b"iso6",
    b"mp41",
    b"mp42",
    b"avc1",
    b"dash",
    b"M4V ",
    b"M4A ",
    b"MSNV",
    b"3gp4",
    b"3gp5",
)
AVIF = (b"avif", b"avis")
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
# Brands of any image in the format of HEIC; the brand of its codec is among the compatible ones.
HEIF = (b"mif1", b"msf1", b"mif2", b"miaf")
MAX_BRANDS_BYTES = 256
EBML = b"\x1a\x45\xdf\xa3"


def sniff(data: bytes) -> str:
    """The media type of a file, from its first bytes."""
    for magic in MAGICS:
        if data.startswith(magic.text, magic.offset):
            return magic.mime
    if data.startswith(b"RIFF"):
        return RIFF.get(data[8:12], UNKNOWN)
    if data[4:8] == b"ftyp":
        return by_brands(data)
    # The document type is one of the first elements of the EBML header.
    if data.startswith(EBML) and b"\x42\x82\x84webm" in data[:64]:
        return "video/webm"
    return UNKNOWN


def by_brands(data: bytes) -> str:
    """The type of a file that begins with a `ftyp` box."""
    end = min(int.from_bytes(data[:4]), MAX_BRANDS_BYTES, len(data))
    major = data[8:12]
    brands = (major, *(data[at : at + 4] for at in range(16, end - 3, 4))) if major in HEIF else (major,)
    for mime, known in (("image/avif", AVIF), ("image/heic", HEIC), ("video/mp4", MP4)):
        if any(brand in known for brand in brands):
            return mime
    return UNKNOWN
