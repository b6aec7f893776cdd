"""Texts that look alike: the skeleton of a text, and the scripts of its letters (UTS 39).

Both are made of the data of Unicode in the package confusable-homoglyphs. It lists, for each character, those that it
is confusable with; all that are confusable with each other have one common neighbour, their prototype.
"""

import unicodedata
from bisect import bisect_right
from importlib import resources

import msgspec
from msgspec import Struct

DATA = resources.files("confusable_homoglyphs")
# The data has marks of direction around right-to-left characters.
MARK = "\u200e"
# Scripts that are written together (UTS 39, section 5.2): Japanese, Chinese, Korean.
TOGETHER = (frozenset({"HAN", "HIRAGANA", "KATAKANA"}), frozenset({"HAN", "BOPOMOFO"}), frozenset({"HAN", "HANGUL"}))
OF_ALL_SCRIPTS = frozenset({"COMMON", "INHERITED"})


class Categories(Struct):
    """The file of scripts: ranges of code points, each with the numbers of its script and its category."""

    iso_15924_aliases: list[str]
    code_points_ranges: list[tuple[int, int, int, int]]


def prototypes() -> dict[str, str]:
    """Each character that has a prototype, and the prototype, of one or more characters."""
    raw = msgspec.json.decode(DATA.joinpath("confusables.json").read_bytes(), type=dict[str, list[dict[str, str]]])
    alike = {text.replace(MARK, ""): [one["c"].replace(MARK, "") for one in others] for text, others in raw.items()}
    found = dict[str, str]()
    for text, others in alike.items():
        # A text with several neighbours is a prototype. Of two that have only each other, either can be it.
        if len(others) == 1 and (len(alike.get(others[0], ())) > 1 or (len(text), text) < (len(others[0]), others[0])):
            found[text] = others[0]
    single = {text: prototype for text, prototype in found.items() if len(text) == 1}
    # A prototype of several characters may contain one that has another prototype.
    table = str.maketrans(single)
    return {text: unicodedata.normalize("NFD", prototype).translate(table) for text, prototype in single.items()}


PROTOTYPES = prototypes()
TABLE = str.maketrans(PROTOTYPES)
CATEGORIES = msgspec.json.decode(DATA.joinpath("categories.json").read_bytes(), type=Categories)
RANGES = sorted(
    (first, last, CATEGORIES.iso_15924_aliases[script]) for first, last, script, _ in CATEGORIES.code_points_ranges
)
STARTS = [first for first, _, _ in RANGES]


def skeleton(text: str) -> str:
    """A text that is the same for all texts that look alike. It is compared, and never shown."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).translate(TABLE))


def script_of(char: str) -> str:
    """The script of a character, in capitals; COMMON for one that no script owns, "" for one that is not assigned."""
    first, last, script = RANGES[max(0, bisect_right(STARTS, ord(char)) - 1)]
    return script if first <= ord(char) <= last else ""


def is_of_one_script(text: str) -> bool:
    """Whether all letters are of one script, or of several that are written together."""
    scripts = {script_of(char) for char in text} - OF_ALL_SCRIPTS
    return len(scripts) <= 1 or any(scripts <= together for together in TOGETHER)
