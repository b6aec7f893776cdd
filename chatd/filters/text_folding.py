"""Folding of look-alike characters and spelling variants, for the comparison of words. Folded texts are never shown.

Each character is folded by itself. So folding takes linear time (the normalization of a whole text does not: sorting
16,000 combining marks takes a third of a second), and the position of each folded character in the text is known. A
character is converted to NFKD, without case, accents and invisible characters, and then to the Latin letter that it
looks like.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from importlib import resources
from itertools import accumulate, chain, count, repeat

import msgspec

from chatd.core.slices import SLICE_CHARS, Sliced
from chatd.core.text_forms import APOSTROPHES

MAX_KNOWN = 50_000

# Accents, invisible characters, variation selectors, skin tones, and the vowel points of Arabic and Hebrew.
DROPPED = frozenset(
    chain(
        range(0x0300, 0x0370), range(0x0591, 0x05C8), range(0x0610, 0x061B), range(0x064B, 0x0653),
        range(0x1AB0, 0x1B00),
        range(0x1DC0, 0x1E00), range(0x200B, 0x2010), range(0x202A, 0x202F), range(0x2060, 0x2070),
        range(0x20D0, 0x2100),
        range(0xFE00, 0xFE10), range(0x1F3FB, 0x1F400), range(0xE0000, 0xE0200),
        (0x00AD, 0x0640, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFEFF, 0xFFA0),
    )
)  # fmt: skip
# Small letters of other alphabets, and the Latin ones that they look like. They take precedence over the data of
# Unicode.
CHOSEN = str.maketrans(
    "авекмнорстухѕіјһԁԛԝӏցօոսαβεηικνορτυχωϲđħıłøŧɡɑɩƒʟɪʀɴʙɢʜɵᗩᗯ",
    "abekmhopctyxsijhdqwlgonuabenikvoptuxwcdhilotgaiflirnbghoaw",
)
# Alphabets whose letters resemble Latin ones: Latin itself, Greek, Cyrillic, Armenian, Cherokee, Canadian syllabics,
# Coptic, runes, Tifinagh, Lisu, Deseret, Osage, Warang Citi, phonetics; and the signs of mathematics and of APL. Hebrew
# and Arabic are not included, although some of their letters resemble an l.
ALPHABETS = (
    (0x80, 0x590), (0x13A0, 0x1680), (0x16A0, 0x1700), (0x1D00, 0x2000), (0x2200, 0x2400), (0x2C60, 0x2D00),
    (0x2D30, 0x2D80),
    (0xA4D0, 0xA500), (0xA640, 0xA6A0), (0xA720, 0xA800), (0xAB30, 0xABC0), (0x10280, 0x10500), (0x118A0, 0x118E0),
)  # fmt: skip

LATIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def unicode_look_alikes() -> dict[int, str]:
    """Letters, and the ASCII letter or apostrophe that each is confusable with (UTS 39), from the data of a package."""
    data = resources.files("confusable_homoglyphs").joinpath("confusables.json").read_bytes()
    found: dict[int, str] = {}
    for char, others in msgspec.json.decode(data, type=dict[str, list[dict[str, str]]]).items():
        alike = next((one["c"] for one in others if one["c"] in LATIN), None)
        if alike is not None and len(char) == 1 and any(low <= ord(char) < high for low, high in ALPHABETS):
            found[ord(char)] = alike.lower()
            found.setdefault(ord(char.lower()[0]), alike.lower())
    return found


# Where Unicode has Latin letters with strokes and hooks, and small capitals.
LATIN_BLOCKS = (
    (0x100, 0x300), (0x1D00, 0x1E00), (0x1E00, 0x1F00), (0x2C60, 0x2C80), (0xA720, 0xA800), (0xAB30, 0xAB70),
    (0x1DF00, 0x1E000),
)  # fmt: skip
NAME_OF_LETTER = re.compile(
    "LATIN (?:(?:SMALL|CAPITAL) LETTER ([A-Z]) WITH (?!SMALL|CAPITAL).*|LETTER SMALL CAPITAL ([A-Z])( WITH .*)?)"
)


def letters_with_strokes() -> dict[int, str]:
    """Letters whose Unicode name is that of an ASCII letter with a stroke, hook or similar, or of a small capital.

    NFKD does not decompose them.
    """
    points = chain.from_iterable(range(low, high) for low, high in LATIN_BLOCKS)
    names = ((point, NAME_OF_LETTER.fullmatch(unicodedata.name(chr(point), ""))) for point in points)
    return {point: (match[1] or match[2]).lower() for point, match in names if match}


# Letters that NFKD does not decompose, or decomposes to another text: white on black (as emoji too), (a), the lunate
# sigma.
WHITE_ON_BLACK = {start + place: chr(97 + place) for start in (0x1F150, 0x1F170) for place in range(26)}
PARENTHESIZED = {start + place: chr(97 + place) for start in (0x249C, 0x1F110) for place in range(26)}
BEFORE: dict[int, str] = {**WHITE_ON_BLACK, **PARENTHESIZED, 0x3F2: "c", 0x3F9: "c", 0x1F1A5: "d"}
LOOK_ALIKES: dict[int, str | int] = {
    **letters_with_strokes(),
    **unicode_look_alikes(),
    **CHOSEN,
    **{ord(mark): "'" for mark in APOSTROPHES},
}
LEET: dict[int, str | int | None] = dict(str.maketrans("0134578@$€", "oieastbase"))

# Scripts without spaces between words, for the brackets of a pattern: Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han,
# Hangul.
UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fff\u3005-\u30ff\u3130-\u318f\u3400-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)


# Between characters that are converted together. It joins with nothing, so each is converted as if it were alone.
SEPARATOR = "\0"


class Table:
    """Conversion of a text character by character, with a cache. `convert` takes characters with separators between
    them.

    All characters of a text that are not in the cache are converted in one call, so that a text of thousands of
    different characters is fast, too.
    """

    def __init__(self, convert: Callable[[str], str]) -> None:
        self._convert = convert
        self._known: dict[int, str] = {}

    def translate(self, text: str) -> str:
        return text.translate(self.table_for(text))

    def parts_in_slices(self, text: str) -> Sliced[list[str]]:
        """Like `translate`, in slices."""
        parts = list[str]()
        for start in range(0, len(text), SLICE_CHARS):
            parts.append(self.translate(text[start : start + SLICE_CHARS]))
            yield
        return parts

    def table_for(self, text: str) -> dict[int, str]:
        """The cache, with the conversion of each character of the text."""
        points = set(map(ord, text))
        if points <= self._known.keys():
            return self._known
        if len(self._known) + len(points) > MAX_KNOWN:
            self.forget()
        unknown = sorted(points - self._known.keys() - {ord(SEPARATOR)})
        converted = self._convert(SEPARATOR.join(map(chr, unknown))).split(SEPARATOR)
        known = {**dict(zip(unknown, converted, strict=False)), ord(SEPARATOR): SEPARATOR}
        if len(known) > MAX_KNOWN:
            return known
        self._known.update(known)
        return self._known

    def forget(self) -> None:
        """Empty the cache."""
        self._known = {}

    def __len__(self) -> int:
        """Size of the cache."""
        return len(self._known)


STRAIGHT: dict[int, str | int | None] = {**dict.fromkeys(map(ord, APOSTROPHES), "'"), **BEFORE}
BARE: dict[int, str | int | None] = {**LOOK_ALIKES, **dict.fromkeys(DROPPED)}


def replaced(text: str, table: dict[int, str | int | None]) -> str:
    """Like `str.translate`, but fast for characters that are not in the table."""
    return text if table.keys().isdisjoint(map(ord, text)) else text.translate(table)


def fold_each(chars: str) -> str:
    straight = replaced(chars, STRAIGHT)
    return replaced(unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", straight).casefold()), BARE)


def fold_each_loosely(chars: str) -> str:
    """Like `fold_each`, and convert digits and signs that are used for letters."""
    return replaced(fold_each(chars), LEET)


PLAIN = Table(fold_each)
LOOSE = Table(fold_each_loosely)


def fold(text: str) -> str:
    """Remove case, accents and width, and replace look-alikes."""
    return PLAIN.translate(text)


def fold_loosely(text: str) -> str:
    """Like `fold`, and convert digits and signs that are used for letters."""
    return LOOSE.translate(text)


class Folded:
    """A text folded by `fold_loosely`. `place` returns the position of a folded character in the original."""

    __slots__ = ("_begin", "_ends", "_number", "_original", "_places", "text")

    def __init__(self, original: str, parts: list[str]) -> None:
        self.text = "".join(parts)
        self._original = original
        # Where the slices end in `text`, and the places of the characters of one of them.
        self._ends = list(accumulate(map(len, parts)))
        self._number = -1
        self._begin = 0
        self._places: list[int] = []

    @classmethod
    def in_slices(cls, text: str) -> "Sliced[Folded]":
        return cls(text, (yield from LOOSE.parts_in_slices(text)))

    def place(self, at: int) -> int:
        """The index in the original for an index in the folded text."""
        number = bisect_right(self._ends, at)
        if number != self._number:
            start = number * SLICE_CHARS
            part = self._original[start : start + SLICE_CHARS]
            folded = LOOSE.table_for(part)
            lengths = map(len, map(folded.__getitem__, map(ord, part)))
            self._places = list(chain.from_iterable(map(repeat, count(start), lengths)))
            self._begin = self._ends[number - 1] if number else 0
            self._number = number
        return self._places[at - self._begin]
