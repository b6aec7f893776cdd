"""The form of names in the index of names, and of the text to find."""

import re
import unicodedata

WORDS = re.compile(r"\w+")
MAX_ENTRIES = 8
MAX_LENGTH = 100


def search_form(text: str) -> str:
    """Words with a space between them, without case, accents and punctuation."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(char for char in folded if not unicodedata.combining(char))
    return " ".join(WORDS.findall(unicodedata.normalize("NFC", bare)))[:MAX_LENGTH]


def entries_of(name: str | None, handle: str | None) -> dict[str, bool]:
    """The entries of a user, and whether each is the handle: the name from each of its first words on."""
    words = search_form(name or "").split(" ")
    entries = {" ".join(words[start:]): False for start in range(min(len(words), MAX_ENTRIES)) if words[start]}
    return entries | ({search_form(handle): True} if handle else {})
