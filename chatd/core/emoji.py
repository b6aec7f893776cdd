"""Recognizes emoji, and normalizes their spelling.

The list is that of Unicode (UTS 51, emoji-test.txt), from the package `emoji`. A client may know newer emoji than the
list: a code point that Unicode reserves for pictographs counts as well, alone and in the sequences that UTS 51
describes.
"""

import re

from emoji import EMOJI_DATA, STATUS

MAX_LENGTH = 32
NAME = re.compile(r":[a-z0-9_+-]{1,30}:")
# VS15 and VS16 ask for a presentation, as text or as a picture: the same emoji with and without them.
SELECTORS = re.compile("[\ufe0e\ufe0f]")
# The spelling that keyboards send, by the same emoji without selectors.
QUALIFIED = {
    SELECTORS.sub("", emoji): emoji
    for emoji, known in EMOJI_DATA.items()
    if known["status"] in (STATUS["fully_qualified"], STATUS["component"])
}
# Emoji of one code point in the Basic Multilingual Plane; beyond it Unicode reserves ranges (Extended_Pictographic).
SHORT = "".join(sorted(emoji for emoji in QUALIFIED if len(emoji) == 1 and emoji < "\uffff"))
PICTURE = f"[{re.escape(SHORT)}\U0001f000-\U0001f1e5\U0001f200-\U0001faff\U0001fc00-\U0001fffd][\U0001f3fb-\U0001f3ff]?"
SEQUENCE = re.compile(
    f"{PICTURE}(?:\u200d{PICTURE})*|[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*]\u20e3"
    "|\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f"
)


def is_emoji(text: str) -> bool:
    """Whether this can be a reaction: one emoji in any spelling, or the name of a custom one."""
    if NAME.fullmatch(text):
        return True
    bare = SELECTORS.sub("", text)
    return len(text) <= MAX_LENGTH and (bare in QUALIFIED or SEQUENCE.fullmatch(bare) is not None)


def canonical(text: str) -> str:
    """Normalize the spelling: emoji are fully qualified, and variation selectors in other text are removed."""
    bare = SELECTORS.sub("", text)
    return QUALIFIED.get(bare, bare)
