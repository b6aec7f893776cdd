"""Facts of sounds and videos, and the processes that read them."""

import math
import sys
import wave
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import pytest
import soundfile
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chatd.core.errors import Refused
from chatd.uploads.chunks import Chunks
from chatd.uploads.file_types import sniff
from chatd.uploads.media.boxes import Malformed
from chatd.uploads.media.inspection import CONTAINERS, inspect
from chatd.uploads.media.protocol import INSPECTED, Facts, Limits, arguments
from chatd.uploads.media.sound import BARS, duration_ms, waveform
from chatd.uploads.media.thumbhash import thumbhash
from chatd.uploads.media.workers import MediaWorkers
from tests.files import MP4, film, picture

SAMPLES = {
    path.name: path.read_bytes() for path in (Path(__file__).parent / "samples").iterdir() if path.suffix != ".md"
}
# Half a minute would be much for a program that never answers.
START_S = 3
LIMITS = Limits(max_bytes=10_485_760, max_pixels=25_000_000, seconds=20)


def tone(seconds: float = 2, rate: int = 8000) -> list[float]:
    """A tone that becomes louder."""
    count = round(seconds * rate)
    return [math.sin(n * 0.3) * n / count for n in range(count)]


def wav(samples: Sequence[float], rate: int = 8000) -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"".join(round(32767 * one).to_bytes(2, "little", signed=True) for one in samples))
    return out.getvalue()


def encoded(kind: str, subtype: str | None = None) -> bytes:
    out = BytesIO()
    soundfile.write(out, tone(), 8000, format=kind, subtype=subtype)
    return out.getvalue()


def facts(data: bytes) -> Facts:
    return inspect(data, sniff(data), 10_000).facts


@pytest.mark.parametrize(
    ("name", "mime", "size"),
    [
        ("video.mp4", "video/mp4", (64, 48)),
        ("fragments.mp4", "video/mp4", (64, 48)),
        ("live.webm", "video/webm", (64, 48)),
        ("sound.m4a", "audio/mp4", (None, None)),
        ("voice.webm", "audio/webm", (None, None)),
        ("voice.ogg", "audio/ogg", (None, None)),
    ],
)
def test_sizes_and_durations_of_recordings(name: str, mime: str, size: tuple[int | None, int | None]) -> None:
    found = facts(SAMPLES[name])
    assert (found.mime, (found.width, found.height)) == (mime, size)
    assert found.duration_ms is not None
    assert 1900 <= found.duration_ms <= 2100


@pytest.mark.parametrize(
    "data",
    [
        wav(tone()),
        encoded("MP3"),
        encoded("FLAC"),
        encoded("OGG", "VORBIS"),
        encoded("OGG", "OPUS"),
        SAMPLES["voice.ogg"],
    ],
    ids=["wav", "mp3", "flac", "vorbis", "opus", "recording"],
)
def test_waveform_and_duration_of_every_sound_that_is_decoded(data: bytes) -> None:
    found = facts(data)
    assert found.duration_ms is not None
    assert 1900 <= found.duration_ms <= 2200
    assert found.waveform is not None
    assert len(found.waveform) == BARS
    assert max(found.waveform) == 100
    quarters = [sum(found.waveform[start : start + 16]) for start in range(0, BARS, 16)]
    assert quarters == sorted(quarters)


def test_short_silent_and_endless_sounds() -> None:
    assert facts(wav([])).waveform is None
    assert facts(wav([0.5])).waveform is not None
    assert facts(wav([0.0] * 1000)).waveform == bytes(BARS)
    assert waveform(wav(tone(10, 100), 1)) is None, "it would be played for 1000 seconds"
    assert duration_ms(b"ID3" + b"\xff" * 100) is None


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damaged_recordings_have_fewer_facts(name: str, data: st.DataObject) -> None:
    """Truncated, one byte changed, or the first bytes of one kind before another."""
    sample = SAMPLES[name]
    damaged = bytearray(sample)
    match data.draw(st.sampled_from(["truncated", "changed", "mixed"])):
        case "truncated":
            del damaged[data.draw(st.integers(12, len(sample) - 1)) :]
        case "changed":
            damaged[data.draw(st.integers(12, len(sample) - 1))] = data.draw(st.integers(0, 255))
        case _:
            damaged = bytearray(sample[:40]) + SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))]
    mime = sniff(bytes(damaged))
    if mime in INSPECTED and not mime.startswith("image/"):
        found = inspect(bytes(damaged), mime, 10_000).facts
        assert found.duration_ms is None or 0 < found.duration_ms <= 86_400_000_000
        assert (found.width is None) == (found.height is None) or "webm" in mime


@given(st.sampled_from(sorted(CONTAINERS)), st.binary(max_size=200))
def test_arbitrary_bytes_are_no_tracks(mime: str, data: bytes) -> None:
    try:
        CONTAINERS[mime](data)
    except Malformed as error:
        assert str(error)


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4) + kind + content


def test_many_boxes_and_samples_end_at_a_limit() -> None:
    many = box(b"ftyp", b"mp42\x00\x00\x00\x00") + box(b"moov", box(b"free", b"") * 30_000)
    assert facts(many).duration_ms is None
    samples = box(b"tfhd", bytes(4) + b"\x00\x00\x00\x01") + box(b"trun", b"\x00\x00\x01\x00" + b"\xff" * 4)
    endless = box(b"ftyp", b"mp42\x00\x00\x00\x00") + box(b"moov", b"") + box(b"moof", box(b"traf", samples))
    assert facts(endless).duration_ms is None
    deep = b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm" + b"\x18\x53\x80\x67\xff" * 2_000_000
    assert facts(deep).duration_ms is None


def test_thumbhash_is_that_of_the_reference() -> None:
    """The hashes were made by `thumbhash` 0.1.1 of npm."""

    def image(width: int, height: int, alpha: str) -> bytes:
        made = bytearray()
        for y in range(height):
            for x in range(width):
                opacity = {"none": 255, "some": (x * 11 + y * y) % 256, "all": 0}[alpha]
                made += bytes([(x * 7 + y * 3) % 256, (x * x + y) % 256, (255 - x * 2 + y * 5) % 256, opacity])
        return bytes(made)

    for width, height, alpha, expected in (
        (40, 30, "none", "WxgKPYgDZ5Y6h4aLd3d5iBig0YCD"),
        (30, 40, "some", "XTiGJAQHAGij2HmLSoUJiQZkcEgXRxZkBg=="),
        (100, 1, "none", "oBZCYYR4d4eIiAiHYHiOhAg="),
        (1, 1, "none", "FQAq/wEI9wiIh4hwj3CI+AiIcH/4AAAA"),
        (100, 100, "some", "3weCDQIHQTMpNTXm0EbAt/pXKARiUXMCNg=="),
        (3, 90, "none", "F5cOIQiHcDeIdYhZd3CLCAY="),
        (5, 5, "all", "AAiCBQAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="),
    ):
        assert b64encode(thumbhash(width, height, image(width, height, alpha))).decode() == expected


@asynccontextmanager
async def workers(limits: Limits = LIMITS, script: str = "") -> AsyncIterator[MediaWorkers]:
    """`script`: a program that runs instead of the real one."""
    command = (lambda _: [sys.executable, "-c", script]) if script else arguments
    made = MediaWorkers(limits, command=command, start_s=START_S)
    try:
        yield made
    finally:
        await made.aclose()


async def test_files_are_read_by_a_process_that_is_used_again() -> None:
    async with workers() as media:
        small = await media.inspect(Chunks.of(picture()), "image/png")
        assert (small.facts.width, small.thumbnail) == (40, None)
        large = await media.inspect(Chunks.of(picture(size=(800, 600))), "image/png")
        assert large.content is not None
        assert large.thumbnail is not None
        assert sniff(large.content.first) == "image/png"
        assert sniff(large.thumbnail.first) == "image/webp"
        with pytest.raises(Refused, match="the image"):
            await media.inspect(Chunks.of(picture()[:60]), "image/png")
        assert (await media.inspect(Chunks.of(MP4), "video/mp4")).facts == Facts(mime="video/mp4")
        assert (await media.inspect(Chunks.of(SAMPLES["voice.ogg"]), "audio/ogg")).facts.waveform
        assert len(media.processes) == 1
        await media.end_idle(trio.current_time() + 3600)
        assert media.processes == []
        assert (await media.inspect(Chunks.of(film()), "image/gif")).facts.width == 20


async def test_the_largest_image_fits_into_the_memory_of_a_process() -> None:
    for kind, mode in (("PNG", "RGBA"), ("JPEG", "RGB"), ("WEBP", "RGB")):
        async with workers() as media:
            data = picture(kind, (5000, 5000), mode)
            assert (await media.inspect(Chunks.of(data), f"image/{kind.lower()}")).facts.width == 5000
            with pytest.raises(Refused) as refused:
                await media.inspect(Chunks.of(picture(kind, (5001, 5000), mode)), f"image/{kind.lower()}")
            assert refused.value.code == "too_large"


WITHOUT_OPTIONAL = """
import sys
sys.modules["pi_heif"] = sys.modules["soundfile"] = None
from chatd.uploads.media.process import main
main()
"""


async def test_process_without_the_optional_libraries() -> None:
    """HEIC is refused, so its metadata is not stored; sounds have no waveform."""
    command = lambda limits: [sys.executable, "-c", WITHOUT_OPTIONAL, *arguments(limits)[-1:]]  # noqa: E731
    media = MediaWorkers(LIMITS, command=command)
    try:
        with pytest.raises(Refused, match="does not support image/heic; send a JPEG"):
            await media.inspect(Chunks.of(SAMPLES["upright.heic"]), "image/heic")
        found = (await media.inspect(Chunks.of(SAMPLES["voice.ogg"]), "audio/ogg")).facts
        assert (found.duration_ms, found.waveform) == (2000, None)
        assert (await media.inspect(Chunks.of(picture()), "image/png")).facts.width == 40
    finally:
        await media.aclose()


CRASHING = "import os, sys; sys.stdin.buffer.readline(); os.abort()"
ENDLESS = "import sys; sys.stdin.buffer.readline()\nwhile True: pass"
NONSENSE = "import sys; sys.stdin.buffer.readline(); print('nonsense', flush=True); sys.stdin.read()"
TALKATIVE = "import sys; sys.stdin.buffer.readline()\nwhile True: sys.stdout.write('x' * 10000)"


@pytest.mark.parametrize(
    "script", [CRASHING, ENDLESS, NONSENSE, TALKATIVE], ids=["crash", "endless", "nonsense", "talk"]
)
async def test_file_that_breaks_a_process_is_refused(script: str) -> None:
    async with workers(replace(LIMITS, seconds=0.5), script) as media:
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                await media.inspect(Chunks.of(picture()), "image/png")
            assert refused.value.code == "bad_request"
        assert (media.failures, media.processes) == (2, [])


async def test_cancelled_upload_ends_its_process() -> None:
    async with workers(script=ENDLESS) as media:
        with trio.move_on_after(1):
            await media.inspect(Chunks.of(picture()), "image/png")
        assert media.processes == []


async def test_missing_program_is_unavailable() -> None:
    made = MediaWorkers(LIMITS, command=lambda _: ["/nonexistent/program"])
    with pytest.raises(Refused) as refused:
        await made.inspect(Chunks.of(picture()), "image/png")
    assert refused.value.code == "unavailable"
