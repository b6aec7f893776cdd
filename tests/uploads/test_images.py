"""Headers, pixels and names: every input is refused, or becomes a valid image."""

from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chatd.uploads.file_names import disposition, label
from chatd.uploads.file_types import EXTENSIONS, IMAGES, INLINE, UNKNOWN, sniff
from chatd.uploads.media.image_headers import BadImage, measure
from chatd.uploads.media.images import reencode
from tests.files import MP4, PDF, film, picture

KINDS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
}
HEIC = (Path(__file__).parent / "samples" / "upright.heic").read_bytes()
SAMPLES = [picture(kind) for kind in KINDS.values()] + [
    film("GIF", 3),
    film("WEBP", 3),
    picture("JPEG", progressive=True),
    film("AVIF", 3),
    HEIC,
]
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("1", "L", "P", "RGBA"),
    "WEBP": ("L", "RGB", "RGBA"),
    "AVIF": ("L", "RGB", "RGBA"),
}


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        *[(picture(kind), mime) for mime, kind in KINDS.items()],
        (MP4, "video/mp4"),
        (PDF, "application/pdf"),
        (
            b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm",
            "video/webm",
        ),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", UNKNOWN),
        (b"ID3\x04\x00", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"OggS\x00\x02", "audio/ogg"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", UNKNOWN),
        (b"fLaC\x00\x00\x00\x22", "audio/flac"),
        (HEIC, "image/heic"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heix", "image/heic"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif", "image/avif"),
        (b"\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00mif1avif", UNKNOWN),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1jpeg", UNKNOWN),
        (b"\x00\x00\x00\x18ftypqt  \x00\x00\x00\x00heicavif", UNKNOWN),
        (b"", UNKNOWN),
        (b"hello", UNKNOWN),
    ],
)
def test_types_are_detected_by_content(data: bytes, mime: str) -> None:
    assert sniff(data) == mime


@given(st.binary(max_size=300))
def test_every_file_has_one_of_the_types(data: bytes) -> None:
    assert sniff(data) in (*EXTENSIONS, UNKNOWN)
    assert set(IMAGES) <= set(INLINE) <= set(EXTENSIONS)


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_all_pixel_modes_are_encoded(kind: str, mode: str) -> None:
    mime = next(mime for mime, name in KINDS.items() if name == kind)
    data = picture(kind, (21, 13), mode)
    assert measure(data, mime) == (21, 13, 1)
    made, _, width, height, thumbnail, _ = reencode(data, mime, 1000)
    assert (width, height, sniff(made), thumbnail) == (21, 13, mime, None)
    with Image.open(BytesIO(made)) as ours, Image.open(BytesIO(data)) as theirs:
        if kind == "PNG":
            assert ours.convert("RGBA").tobytes() == theirs.convert("RGBA").tobytes()


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_transparency_is_kept(kind: str) -> None:
    mime = next(mime for mime, name in KINDS.items() if name == kind)
    out = BytesIO()
    half = Image.new("RGBA", (10, 10), (255, 0, 0, 255))
    half.paste((0, 0, 0, 0), (0, 0, 5, 10))
    half.save(out, kind, lossless=True)
    made = reencode(out.getvalue(), mime, 1000).data
    with Image.open(BytesIO(made)) as image:
        pixels = image.convert("RGBA")
        assert (pixels.getpixel((1, 1))[3], pixels.getpixel((8, 8))[3]) == (0, 255)


def test_heic_becomes_an_upright_jpeg_without_metadata() -> None:
    """The sample is turned by its metadata, which also has a maker and a position."""
    made = reencode(HEIC, "image/heic", 10_000)
    assert b"SECRETMAKER" in HEIC
    assert (made.mime, made.width, made.height) == ("image/jpeg", 48, 64)
    with Image.open(BytesIO(made.data)) as image:
        assert (image.format, dict(image.getexif()), image.info.get("icc_profile")) == ("JPEG", {}, None)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_metadata_is_removed(kind: str) -> None:
    mime = next(mime for mime, name in KINDS.items() if name == kind)
    exif = Image.Exif()
    exif[0x010F] = "SECRETMAKER"
    exif.get_ifd(0x8825)[1] = "N"
    data = picture(kind, (40, 30), exif=exif.tobytes())
    assert b"SECRETMAKER" in data
    made = reencode(data, mime, 10_000)
    assert b"SECRETMAKER" not in made.data
    with Image.open(BytesIO(made.data)) as image:
        assert not image.getexif()


@pytest.mark.parametrize("sample", SAMPLES, ids=sniff)
def test_truncated_images_are_refused(sample: bytes) -> None:
    """Half of it, and all but its end. A file whose end has only metadata may be complete without it."""
    for end in (len(sample) // 2, len(sample) - len(sample) // 10):
        with pytest.raises(BadImage):
            reencode(sample[:end], sniff(sample), 10_000)


def test_large_images_get_thumbnails_and_placeholders() -> None:
    for kind, mode in (("PNG", "RGBA"), ("JPEG", "L"), ("PNG", "I;16"), ("GIF", "P"), ("AVIF", "RGB")):
        mime = next(mime for mime, name in KINDS.items() if name == kind)
        made = reencode(picture(kind, (1000, 500), mode), mime, 1_000_000)
        assert made.thumbnail is not None
        assert len(made.placeholder) < 40
        with Image.open(BytesIO(made.thumbnail)) as image:
            assert (image.format, image.size, image.info.keys() & {"exif", "icc_profile"}) == (
                "WEBP",
                (400, 200),
                set(),
            )
    animated = reencode(film("GIF", 3), "image/gif", 1_000_000)
    assert animated.thumbnail is not None
    with Image.open(BytesIO(animated.thumbnail)) as image:
        assert getattr(image, "n_frames", 1) == 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_animations_keep_frames_durations_and_loops(kind: str, mode: str) -> None:
    mime = f"image/{kind.lower()}"
    made = reencode(film(kind, 6, mode=mode), mime, 10_000).data
    assert measure(made, mime).frames == 6
    with Image.open(BytesIO(made)) as image:
        image.seek(3)
        image.load()
        assert (getattr(image, "n_frames", 1), image.info["duration"], image.info["loop"]) == (6, 40, 0)


def test_an_animated_png_becomes_its_first_frame() -> None:
    made = reencode(film("PNG", 4), "image/png", 10_000).data
    with Image.open(BytesIO(made)) as image:
        assert getattr(image, "n_frames", 1) == 1


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), st.data())
def test_damaged_images_are_refused_or_repaired(sample: bytes, data: st.DataObject) -> None:
    """One byte changed, or a part taken out: an image or a refusal, and nothing else."""
    at = data.draw(st.integers(6, len(sample) - 1))
    damaged = bytearray(sample)
    if data.draw(st.booleans()):
        damaged[at] = data.draw(st.integers(0, 255))
    else:
        del damaged[at : at + data.draw(st.integers(1, 50))]
    mime = sniff(bytes(damaged))
    if mime in IMAGES:
        try:
            made, stored_as, width, height, *_ = reencode(bytes(damaged), mime, 10_000)
        except BadImage:
            return
        assert width * height <= 10_000
        assert sniff(made) == stored_as


@given(st.sampled_from(IMAGES), st.binary(max_size=300))
def test_arbitrary_headers_are_measured_or_refused(mime: str, data: bytes) -> None:
    try:
        assert measure(data, mime).pixels > 0
    except BadImage as error:
        assert str(error)


@given(st.text(max_size=400))
def test_file_names_become_labels(name: str) -> None:
    kept = label(name)
    if kept is not None:
        assert 1 <= len(kept) <= 200
        assert label(kept) == kept
        assert not set(kept) & set("/\\\x00\r\n\u202e")
    header = disposition("inline", kept, "image/png")
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
