"""ThumbHash: a blurred picture of an image in about 25 bytes, by Evan Wallace (https://evanw.github.io/thumbhash/).

The picture is a cosine transform with few coefficients of luminance, of two differences of colours, and of alpha. A
client draws it until it has the image.
"""

from collections.abc import Sequence
from math import cos, floor, pi
from typing import NamedTuple

# The largest width and height that the format allows.
MAX_SIDE = 100


class Channel(NamedTuple):
    """The transform of one channel: its mean, the other coefficients from 0 to 1, and their scale."""

    mean: float
    coefficients: list[float]
    scale: float


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """The hash of an image of at most `MAX_SIDE` pixels in each direction, four bytes for each pixel."""
    luminance, yellow_blue, red_green, alpha = channels(rgba)
    has_alpha = sum(alpha) < width * height
    # Alpha takes some of the bits.
    most = 5 if has_alpha else 7
    across = max(1, rounded(most * width / max(width, height)))
    down = max(1, rounded(most * height / max(width, height)))
    size = (width, height)
    lightness = transform(luminance, size, max(3, across), max(3, down))
    yellow, red = transform(yellow_blue, size, 3, 3), transform(red_green, size, 3, 3)
    is_landscape = width > height
    head = (
        rounded(63 * lightness.mean)
        | rounded(31.5 + 31.5 * yellow.mean) << 6
        | rounded(31.5 + 31.5 * red.mean) << 12
        | rounded(31 * lightness.scale) << 18
        | has_alpha << 23
    ).to_bytes(3, "little")
    head += (
        (down if is_landscape else across)
        | rounded(63 * yellow.scale) << 3
        | rounded(63 * red.scale) << 9
        | is_landscape << 15
    ).to_bytes(2, "little")
    values = [*lightness.coefficients, *yellow.coefficients, *red.coefficients]
    if has_alpha:
        opacity = transform(alpha, size, 5, 5)
        head += bytes([rounded(15 * opacity.mean) | rounded(15 * opacity.scale) << 4])
        values += opacity.coefficients
    nibbles = [rounded(15 * value) for value in values] + [0] * (len(values) % 2)
    return head + bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def channels(rgba: bytes) -> tuple[list[float], list[float], list[float], list[float]]:
    """Luminance, yellow against blue, red against green, and alpha, over the mean colour as a background."""
    alpha = [value / 255 for value in rgba[3::4]]
    total = sum(alpha)
    colours = [[part / 255 for part in rgba[index::4]] for index in range(3)]
    means = [
        sum(part * seen for part, seen in zip(colour, alpha, strict=True)) / total if total else 0.0
        for colour in colours
    ]
    red, green, blue = (
        [mean * (1 - seen) + seen * part for part, seen in zip(colour, alpha, strict=True)]
        for colour, mean in zip(colours, means, strict=True)
    )
    pixels = list(zip(red, green, blue, strict=True))
    return (
        [sum(pixel) / 3 for pixel in pixels],
        [(r + g) / 2 - b for r, g, b in pixels],
        [r - g for r, g, _ in pixels],
        alpha,
    )


def transform(channel: Sequence[float], size: tuple[int, int], across: int, down: int) -> Channel:
    """The coefficients of the lowest frequencies, a triangle of them."""
    width, height = size
    rows = [channel[start : start + width] for start in range(0, width * height, width)]
    waves = [[cos(pi / width * n * (x + 0.5)) for x in range(width)] for n in range(across)]
    sums = [[sum(map(float.__mul__, row, wave)) for row in rows] for wave in waves]
    found = []
    for n in range(down):
        wave = [cos(pi / height * n * (y + 0.5)) for y in range(height)]
        count = next(m for m in range(across + 1) if m * down >= across * (down - n))
        found += [sum(map(float.__mul__, sums[m], wave)) / (width * height) for m in range(count)]
    mean, others = found[0], found[1:]
    scale = max(map(abs, others), default=0.0)
    return Channel(mean, [0.5 + 0.5 / scale * value for value in others] if scale else others, scale)


def rounded(value: float) -> int:
    """The nearest integer, halves up."""
    return floor(value + 0.5)
