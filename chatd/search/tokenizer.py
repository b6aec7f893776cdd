"""Splits a text in any script into the tokens of the index, with their positions in the text.

A text is folded first: compatibility forms, case and diacritics are removed (NFKD, casefold, without the marks of
alphabets); marks that are letters in their script are kept; all other characters become spaces. Then the text is split
into words, and into runs of scripts that have no spaces. Of a run the index contains each character and each pair of
neighbours, so that words of one and of two characters are found; longer words are found by their pairs, and verified in
the text itself.

All functions take linear time and are bounded: a token has up to 64 characters, a text up to 4000 tokens.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec import Struct

from chatd.core.emoji import SHORT
from chatd.core.slices import SLICE_CHARS, Sliced, finish
from chatd.core.text_forms import APOSTROPHES

MAX_TOKENS = 4000
MAX_TOKEN_LENGTH = 64
# Characters of all tokens of a text together.
MAX_SIZE = 60_000
MAX_HIGHLIGHTS = 50
# A longer text, or one with other characters, is split in slices.
MAX_ASCII_LENGTH = 2 * MAX_TOKENS
# The folded form of each byte of ASCII: letters and digits without case, and spaces.
ASCII = bytes(ord(chr(code).lower()) if chr(code).isalnum() else 32 for code in range(128)).ljust(256)
# A shorter prefix matches too many words.
SHORTEST_PREFIX = 3
MAX_KNOWN = 50_000
Spans = list[tuple[int, int]]

# Characters that are folded in one slice: those that are not known yet take 3 us each.
SLICE_UNITS = SLICE_CHARS // 4
# Tokens and occurrences that are handled in one slice.
SLICE_TOKENS = 500

# Scripts without spaces: Thai, Lao, Myanmar, Hangul, Khmer, Tai, Han, kana, Bopomofo. And emoji, which are written like
# words.
RUN = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff"
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u3098\u309b-\u309f\u3099\u309a\u30a1-\u30fa\u30fc-\u318f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001f000-\U0001faff\U00020000-\U0003ffff"
)
# Emoji in other blocks: symbols that are not letters, such as arrows, and the frame of a keycap.
PICTURES = "".join(char for char in SHORT if not unicodedata.normalize("NFKD", char).isalnum()) + "\u20e3"
RUN += re.escape(PICTURES)
IN_RUN = re.compile(f"[{RUN}]")
PIECE = re.compile(f"[{RUN}]+|[^ {RUN}]+")
# Marks of alphabets (Latin, Greek, Cyrillic, Hebrew, Arabic), and invisible characters.
DROPPED = re.compile(
    "[\u00ad\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u200b-\u200f\u202a-\u202e\u2060-\u2064\u20d0-\u20e2\u20e4-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\U000e0100-\U000e01ef]"
)
# Several characters that are one in another form: syllables of Hangul, kana with a voicing mark.
COMBINED = (
    "[\u1100-\u115f][\u1160-\u11a7][\u11a8-\u11ff]?|[\uac00-\ud7a3][\u11a8-\u11c2]"
    "|[\u3041-\u30ff\uff66-\uff9d][\u3099\u309a\uff9e\uff9f]"
)
HAS_COMBINED = re.compile(COMBINED)
UNIT = re.compile(f"{COMBINED}|.", re.DOTALL)
SLICE = re.compile(f"(?:{COMBINED}|.){{1,{SLICE_UNITS}}}+", re.DOTALL)
COMPOSED = re.compile("[\u1100-\u11ff\u3041-\u30ff]")
# Letters that Unicode does not decompose.
PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})


class Folds(dict[int, str]):
    """The folded form of each character, by its code point; for str.translate.

    It caches a bounded number of characters.
    """

    def __missing__(self, code: int) -> str:
        if len(self) >= MAX_KNOWN:
            self.clear()
        folded = self[code] = fold_character(chr(code))
        return folded


def fold_character(character: str) -> str:
    """Fold a character, or a sequence that is one character; "" if it is ignored."""
    if character in PICTURES:
        return character
    taken_apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    plain = "".join(map(fold_part, taken_apart))
    return unicodedata.normalize("NFC", plain) if COMPOSED.search(plain) else plain.translate(PLAIN)


def fold_part(part: str) -> str:
    if DROPPED.match(part):
        return ""
    if part in APOSTROPHES:
        return " "
    return part if part.isalnum() or IN_RUN.match(part) or unicodedata.category(part)[0] == "M" else " "


FOLDS = Folds()


def fold(text: str) -> str:
    """The folded text: words with spaces between them."""
    return finish(fold_in_slices(text))


def fold_in_slices(text: str) -> Sliced[str]:
    """Like `fold`, in slices."""
    parts = list[str]()
    for part in slices_of(text):
        parts.append(fold_slice(part))
        yield
    return "".join(parts)


def slices_of(text: str) -> Iterator[str]:
    """The text in parts that do not split a composed character."""
    if len(text) <= SLICE_CHARS:
        return iter((text,))
    return (part[0] for part in SLICE.finditer(text))


def fold_slice(text: str) -> str:
    # A removed character may be between characters that form one.
    return composed(composed(text).translate(FOLDS))


def composed(text: str) -> str:
    if HAS_COMBINED.search(text):
        return HAS_COMBINED.sub(lambda unit: unicodedata.normalize("NFKC", unit[0]), text)
    return text


def tokens(text: str) -> list[str]:
    """The tokens of a text in the index: distinct words, and characters and pairs of runs, in the order of the text."""
    return finish(tokens_in_slices(text))


def tokens_in_slices(text: str) -> Sliced[list[str]]:
    """Like `tokens`, in slices."""
    folded = yield from fold_in_slices(text)
    found: dict[str, None] = {}
    room = MAX_SIZE
    pieces = dict.fromkeys(PIECE.findall(folded))
    for number, token in enumerate(token for piece in pieces for token in parts_of(piece)):
        if number % SLICE_TOKENS == 0:
            yield
        if token not in found:
            room -= len(token)
            if room < 0 or len(found) >= MAX_TOKENS:
                break
            found[token] = None
    return list(found)


def ascii_tokens(text: str) -> list[str] | None:
    """Like `tokens`, in a tenth of the time, for most texts of ASCII; None for all others."""
    if not text.isascii() or len(text) > MAX_ASCII_LENGTH:
        return None
    words = text.encode().translate(ASCII).decode().split()
    if len(text) > MAX_TOKEN_LENGTH:
        words = [word[:MAX_TOKEN_LENGTH] for word in words]
    return list(dict.fromkeys(words))


def is_run(piece: str) -> bool:
    return not piece.isascii() and IN_RUN.match(piece) is not None


def parts_of(piece: str) -> Iterator[str]:
    """The tokens of a piece."""
    if not is_run(piece):
        yield piece[:MAX_TOKEN_LENGTH]
        return
    for at, character in enumerate(piece):
        yield character
        if at:
            yield piece[at - 1 : at + 1]


class Term(Struct, frozen=True):
    """A search term: adjacent words.

    `needle` must be contained in a spaced text, `lexemes` in its index. With `prefix` the last lexeme may be the
    beginning of a word. `exact`: a text whose index has the lexemes contains the needle.
    """

    needle: str
    lexemes: tuple[str, ...]
    prefix: bool
    exact: bool


def term_of(text: str, *, prefix: bool = False) -> Term | None:
    """The term of a text; None if it contains no word."""
    pieces = PIECE.findall(fold(text))
    if not pieces:
        return None
    last = pieces[-1]
    prefix = prefix and not is_run(last) and len(last) >= SHORTEST_PREFIX
    begins, ends = "" if is_run(pieces[0]) else " ", "" if is_run(last) or prefix else " "
    lexemes = tuple(dict.fromkeys(lexeme for piece in pieces for lexeme in wanted_of(piece)))
    exact = len(pieces) == 1 and not prefix and len(lexemes) == 1 and len(last) <= MAX_TOKEN_LENGTH
    return Term(begins + " ".join(pieces) + ends, lexemes, prefix, exact)


def wanted_of(piece: str) -> list[str]:
    """The tokens that a text must have to contain this piece: of a run the pairs, unless it is one character."""
    if not is_run(piece):
        return [piece[:MAX_TOKEN_LENGTH]]
    return [piece[at : at + 2] for at in range(len(piece) - 1)] or [piece]


class Spaced(Struct):
    """A folded text with exactly one space around each piece, and the positions of the pieces in it and in the folded
    text.
    """

    text: str
    here: list[int]
    there: list[int]


def with_spaces(folded: str) -> str:
    return " ".join(["", *PIECE.findall(folded), ""])


def spaced_in_slices(folded: str, text: str) -> Sliced[Spaced]:
    """The `Spaced` form of a folded text. `text` is the folded text after `with_spaces`."""
    place, at = Spaced(text, [], []), 1
    for number, piece in enumerate(PIECE.finditer(folded)):
        if number % SLICE_TOKENS == 0:
            yield
        start, end = piece.span()
        place.here.append(at)
        place.there.append(start)
        at += end - start + 1
    return place


def highlights(text: str, wanted: Sequence[Term], unwanted: Iterable[Term] = ()) -> Spans | None:
    """The ranges of the text that match, in code points: at most 50, in order, not overlapping.

    None if a required term is missing, or an excluded one is present.
    """
    return finish(highlights_in_slices(text, wanted, unwanted))


def highlights_in_slices(text: str, wanted: Sequence[Term], unwanted: Iterable[Term] = ()) -> Sliced[Spans | None]:
    """Like `highlights`, in slices."""
    folded = yield from fold_in_slices(text)
    compared = with_spaces(folded)
    for terms, there in ((unwanted, False), (wanted, True)):
        for term in terms:
            yield
            if (term.needle in compared) is not there:
                return None
    if not wanted:
        return []
    # Positions cost several times as much as the comparison, and most texts need none.
    place = yield from spaced_in_slices(folded, compared)
    offsets = yield from Offsets.in_slices(text)
    found: Spans = []
    for term in wanted:
        yield
        found += [(offsets.start(first), offsets.end(last)) for first, last in occurrences(place, term)]
    found.sort()
    yield
    return list(islice(merged(found), MAX_HIGHLIGHTS))


def occurrences(place: Spaced, term: Term) -> Iterator[tuple[int, int]]:
    """The first and the last character of each occurrence, in the folded text; at most 50."""
    lead, length = term.needle.startswith(" "), len(term.needle.strip(" "))
    at = -1
    for _ in range(MAX_HIGHLIGHTS):
        at = place.text.find(term.needle, at + 1)
        if at < 0:
            return
        first = at + lead
        yield folded_place(place, first), folded_place(place, first + length - 1)


def folded_place(place: Spaced, at: int) -> int:
    index = bisect_right(place.here, at) - 1
    return place.there[index] + at - place.here[index]


class Offsets:
    """Converts positions in the folded text to the original text. `same`: each character folds to one character."""

    def __init__(self, *, same: bool) -> None:
        self._same = same
        self._starts: list[int] = []
        self._ends: list[int] = []

    @classmethod
    def in_slices(cls, text: str) -> Sliced["Offsets"]:
        offsets = cls(same=not HAS_COMBINED.search(text) and all(len(FOLDS[code]) == 1 for code in set(map(ord, text))))
        if not offsets._same:
            for number, unit in enumerate(UNIT.finditer(text)):
                if number % SLICE_UNITS == 0:
                    yield
                offsets._add(unit)
        return offsets

    def _add(self, unit: re.Match[str]) -> None:
        """Add the offset of a character. One that folds to nothing (a separate accent) belongs to the preceding one."""
        folded = fold_slice(unit[0])
        if folded:
            self._starts += [unit.start()] * len(folded)
            self._ends += [unit.end()] * len(folded)
        elif self._ends:
            self._ends[-1] = unit.end()

    def start(self, at: int) -> int:
        return at if self._same else self._starts[at]

    def end(self, at: int) -> int:
        return at + 1 if self._same else self._ends[at]


def merged(spans: Spans) -> Iterator[tuple[int, int]]:
    """Sorted spans; those that overlap or touch are merged."""
    start, end = spans[0]
    for first, last in spans:
        if first <= end:
            end = max(end, last)
        else:
            yield start, end
            start, end = first, last
    yield start, end
