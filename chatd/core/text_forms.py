"""Normalizes texts that people read and compare: names, titles, tags, descriptions. Messages are not changed; blank
ones are refused.

The characters to remove are listed by code point, not by the categories of the interpreter's Unicode tables: in those,
every character newer than the interpreter, such as next year's emoji, is "unassigned".
"""

import re
import unicodedata

# Controls, marks of direction, invisible operators and fillers, annotation characters, halves of characters,
# noncharacters, and what has no glyph by definition, also where nothing is assigned yet (Default_Ignorable_Code_Point).
CONTROLS = "\x00-\x1f\x7f-\x9f"
NEVER = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff"
    "\ufdd0-\ufdef\ud800-\udfff\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e00ff\U000e01f0-\U000e0fff"
) + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
# Marks that are written for an apostrophe: accents by themselves, quotation marks, primes, modifier letters.
APOSTROPHES = frozenset(
    "'`\u00b4\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb\u02f4\u0374\u0384\u055a\u055d\u05f3\u07f4\u07f5\u1fbd\u1fbf\u1fef\u1ffd\u1ffe"
    "\u2018\u2019\u201a\u201b\u2032\u2035\ua78b\ua78c\uff07\uff40"
)
# A letter of Braille without dots is a space.
BLANK_LETTERS = str.maketrans("\u2800", " ")
# Flags of regions, such as Scotland (UTS 51, section 1.4.6): tags belong there and nowhere else.
FLAG = re.compile("(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f)|[\U000e0020-\U000e007f]")
# Joiners: between two visible characters they belong to the script, or to an emoji.
JOINERS = "\u200c\u200d"
JOINER = re.compile(
    "(?<![^\\s\u200c\u200d])[\u200c\u200d]+|[\u200c\u200d]+(?![^\\s\u200c\u200d])|(?<=[\u200c\u200d])[\u200c\u200d]+"
)
SPACES = re.compile(r"\s+")
# A control character that is a space separates words: it becomes a space, and is not removed.
UNWANTED = re.compile(f"(?!\\s)[{CONTROLS}{NEVER}]")
UNWANTED_IN_PROSE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufff0-\uffff\ufdd0-\ufdef\ud800-\udfff]"
)
MAX_MARKS = 30
# Characters without a shape of their own: marks without a base, blank letters, selectors.
BLANK = frozenset("\u2800\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5")
# Format characters that belong to a script, and the blocks of combining marks.
MARKS = (
    "\u0300-\u036f\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u1ab0-\u1ace"
    "\u1dc0-\u1dff\u20d0-\u20f0\ufe00-\ufe0f\ufe20-\ufe2f"
)


def in_escapes(characters: str) -> str:
    """The inside of a character class, in escapes that every regular expression dialect supports: the part up to
    U+FFFF.
    """
    ranges = re.findall("(.)(?:-(.))?", characters, flags=re.DOTALL)
    return "".join(
        f"\\u{ord(first):04x}" + (f"-\\u{ord(last):04x}" if last else "")
        for first, last in ranges
        if max(first, last) <= "\uffff" and first != "\ud800"
    )


# For JSON Schema: an empty text, or one of which at least one character is seen; without NUL. Marks of single writings,
# which are not seen by themselves, are left out, and so is what lies beyond U+FFFF.
VISIBLE_PATTERN = (
    f"^([^\\u0000]*[^\\s{in_escapes(CONTROLS + NEVER + JOINERS + MARKS + ''.join(sorted(BLANK)))}][^\\u0000]*)?$"
)


def name_form(text: str) -> str:
    """One line: single spaces, without invisible characters and those that change the direction of the text. "" if
    nothing is left.

    Spaces are collapsed and characters composed after all removals. All functions of this module are idempotent.
    """
    visible = JOINER.sub("", without(UNWANTED, SPACES.sub(" ", text.translate(BLANK_LETTERS))))
    return shown_or_nothing(composed(SPACES.sub(" ", visible).strip()))


def prose_form(text: str) -> str:
    """Several lines, without control characters and direction overrides. "" if no visible character is left."""
    return shown_or_nothing(composed(UNWANTED_IN_PROSE.sub("", text.replace("\r\n", "\n"))))


def shortened(text: str, most: int, edges: str) -> str:
    """A normalized name of at most this length that does not begin or end with one of `edges`, a space or a joiner."""
    edges += " " + JOINERS
    return shown_or_nothing(name_form(name_form(text).strip(edges)[:most]).strip(edges))


def composed(text: str) -> str:
    """NFC, unless it is longer, which could exceed a limit."""
    if text.isascii():
        return text
    text = stream_safe(text)
    form = unicodedata.normalize("NFC", text)
    # NFC decomposes some marks.
    return stream_safe(form) if len(form) <= len(text) else text


def stream_safe(text: str) -> str:
    """Remove marks beyond the 30th in a row, which no script uses (UAX 15, section 13): sorting a row takes quadratic
    time.
    """
    kept, marks = list[str](), 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= MAX_MARKS:
            kept.append(char)
    return "".join(kept)


def without(unwanted: re.Pattern[str], text: str) -> str:
    return unwanted.sub("", FLAG.sub(lambda match: match[1] or "", text))


def shown_or_nothing(text: str) -> str:
    return text if any(map(is_seen, text)) else ""


def is_blank(text: str) -> bool:
    """Whether the text has no visible character. The time depends on the number of different characters only."""
    return not (text and (is_seen(text[0]) or any(map(is_seen, set(text)))))


def is_seen(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] not in "ZM" and category not in ("Cc", "Cf") and char not in BLANK and not UNWANTED.match(char)
