"""What counts as an emoji: one picture character, however many code points make it up, or the name of a custom one.

By categories of Unicode and not by a list, so that those of next year count as well (UTS 51, section 1.4.1).
"""

import re
import unicodedata

LONGEST = 32
NAME = re.compile(r":[a-z0-9_+-]{1,30}:")
# Pictures, modifiers of skin, joiners and variation selectors, enclosing keycaps, tags of flags.
PARTS = ("So", "Sk", "Mn", "Me", "Cf")
KEYCAPS = "0123456789#*"
KEYCAP = "\u20e3"


def is_emoji(text: str) -> bool:
    """Whether this can be a reaction."""
    if NAME.fullmatch(text):
        return True
    if not 1 <= len(text) <= LONGEST:
        return False
    rest = text[1:] if text[0] in KEYCAPS and text.endswith(KEYCAP) else text
    is_picture = rest is not text or any(unicodedata.category(char) == "So" or char in "‼⁉" for char in text)
    return is_picture and all(unicodedata.category(char) in PARTS or char in "‼⁉" for char in rest)
