"""Durations by tinytag, and waveforms by libsndfile, which `chatd[media]` installs.

libsndfile decodes WAV, MP3, FLAC, and Vorbis and Opus in Ogg. Other sound has no waveform, and the sender of a voice
message gives it.
"""

from io import BytesIO
from typing import Any

from tinytag import TinyTag

try:
    import soundfile
except ImportError:
    soundfile = None

from chatd.uploads.media.tracks import milliseconds

# Values of a waveform, each from 0 to `LOUDEST`.
BARS, LOUDEST = 64, 100
# Longer sound has no waveform: it would take seconds.
MAX_WAVEFORM_MS = 15 * 60_000
# Of one sample of all channels. A header may name rates and channels that make the memory of a second too large.
MAX_CHANNELS, MAX_RATE = 8, 192_000
BLOCK_FRAMES = 65_536


def duration_ms(data: bytes) -> int | None:
    """The duration of a sound; None if it is unknown."""
    try:
        found = TinyTag.get(file_obj=BytesIO(data), tags=False).duration
    # It raises almost any exception for malformed bytes.
    except Exception:
        return None
    return milliseconds(found, 1) if found else None


def waveform(data: bytes) -> bytes | None:
    """The loudness of equal parts of a sound, relative to the loudest; None if the sound cannot be decoded."""
    if soundfile is None:
        return None
    try:
        with soundfile.SoundFile(BytesIO(data)) as sound:
            return loudness(sound)
    # Malformed bytes raise the errors of soundfile, and also those of numpy.
    except Exception:
        return None


def loudness(sound: Any) -> bytes | None:
    if not 0 < sound.frames < sound.samplerate * MAX_WAVEFORM_MS // 1000:
        return None
    if sound.channels > MAX_CHANNELS or sound.samplerate > MAX_RATE:
        return None
    peaks, bar, at = [0.0] * BARS, 0, 0
    for block in sound.blocks(blocksize=BLOCK_FRAMES, dtype="float32", always_2d=True):
        # The loudest channel.
        levels = abs(block).max(axis=1)
        start = 0
        while start < len(levels):
            # The last bar takes all that is left, whatever the header says.
            end = len(levels) if bar == BARS - 1 else start + max(1, (bar + 1) * sound.frames // BARS - at - start)
            peaks[bar] = max(peaks[bar], min(1.0, float(levels[start:end].max())))
            if end <= len(levels) and bar < BARS - 1:
                bar += 1
            start = min(end, len(levels))
        at += len(levels)
    loudest = max(peaks)
    return bytes(round(LOUDEST * peak / loudest) for peak in peaks) if loudest else bytes(BARS)
