"""Characters that look alike, or are written in several ways, as one: for comparing words, never for showing them.

Each character is folded by itself, so that folding takes linear time whatever the text (sorting the marks of a normal form does
not: 16,000 of them in a bad order take a third of a second), and the place of each folded character in the text stays known.
A character becomes NFKD, without case, without accents and what cannot be seen, then the Latin letter that it looks like.
"""

import unicodedata
from collections.abc import Callable
from itertools import chain

MOST_KNOWN = 50_000

# Accents, what cannot be seen, variation selectors, skin tones, and the vowel points of Arabic and Hebrew.
DROPPED = frozenset(
    chain(
        range(0x0300, 0x0370), range(0x0591, 0x05C8), range(0x0610, 0x061B), range(0x064B, 0x0653), range(0x1AB0, 0x1B00),
        range(0x1DC0, 0x1E00), range(0x200B, 0x2010), range(0x202A, 0x202F), range(0x2060, 0x2070), range(0x20D0, 0x2100),
        range(0xFE00, 0xFE10), range(0x1F3FB, 0x1F400), range(0xE0000, 0xE0200),
        (0x00AD, 0x0640, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFEFF, 0xFFA0),
    )
)  # fmt: skip
# Small letters of other alphabets, and the Latin ones that they look like.
LOOK_ALIKES = str.maketrans(
    "авекмнорстухѕіјһԁԛԝӏցօոսαβεηικνορτυχωϲđħıłøŧɡɑɩƒʟɪʀɴʙɢʜ",
    "abekmhopctyxsijhdqwlgonuabenikvoptuxwcdhilotgaiflirnbgh",
)
LEET = str.maketrans("0134578@$€", "oieastbase")

# Scripts without spaces between words, for the brackets of a pattern: Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han, Hangul.
UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fff\u3005-\u30ff\u3130-\u318f\u3400-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)


class Table(dict[int, str]):
    """What `str.translate` takes. What becomes of a character is remembered, but not of all that there are: it is a million."""

    def __init__(self, one: Callable[[str], str]) -> None:
        self._one = one

    def __missing__(self, point: int) -> str:
        folded = self._one(chr(point))
        if len(self) < MOST_KNOWN:
            self[point] = folded
        return folded


def fold_one(char: str) -> str:
    """One character, as none or several."""
    bare = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return "".join(one for one in bare if ord(one) not in DROPPED).translate(LOOK_ALIKES)


def fold_one_loosely(char: str) -> str:
    """Digits and signs that stand for letters are letters."""
    return fold_one(char).translate(LEET)


PLAIN = Table(fold_one)
LOOSE = Table(fold_one_loosely)


def fold(text: str) -> str:
    """Case, accents, width and look-alikes are gone."""
    return text.translate(PLAIN)


def fold_loosely(text: str) -> str:
    """As `fold`, and what is written with digits too."""
    return text.translate(LOOSE)


def places(text: str) -> list[int]:
    """Of each character of `fold_loosely(text)`, the index in the text that it comes from."""
    return [index for index, char in enumerate(text) for _ in LOOSE[ord(char)]]
