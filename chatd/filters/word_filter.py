"""Unwanted words in a text, in any spelling: in linear time, whatever the text and the number of words.

All words are one pattern: a trie of escaped literals, in which no two branches begin alike, so that one branch is tried
at each position, no further than the longest word. Words of the operator and texts of users are never used as patterns.

In scripts with spaces between words, a word matches as a whole ("class" is not "ass"); in those without (Chinese,
Japanese, Korean, Thai and others) it matches anywhere. Any punctuation may stand between the words of a phrase. A word
without a letter matches only as it is written ("455" is not "ass").
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from chatd.core.slices import SLICE_CHARS, Sliced, finish
from chatd.filters.text_folding import UNSPACED, Folded, fold, fold_loosely

MAX_WORD_LENGTH = 100
# Characters within a word of a spaced script: letters, digits, and the vowel signs of India, which Python does not
# include.
INSIDE_BEFORE = rf"(?<![^\W_{UNSPACED}])(?<![\u0900-\u0963\u0966-\u0dff])"
INSIDE_AFTER = rf"(?![^\W_{UNSPACED}])(?![\u0900-\u0963\u0966-\u0dff])"
# Final consonants and voice marks belong to the character before them, which is another one then.
NOTHING_JOINS = r"(?![\u11a8-\u11ff\u3099\u309a])"
SPACED = re.compile(rf"[^\W_{UNSPACED}]|[\u0900-\u0dff]")
MAX_BETWEEN = 8
BETWEEN = rf"[\W_]{{1,{MAX_BETWEEN}}}"
END = ""
Trie = dict[str, Any]


class WordFilter:
    """A list of words and phrases. Raises ValueError for an invalid one."""

    def __init__(self, words: Iterable[str]) -> None:
        given = list(words)
        self._pattern = re.compile(pattern_of({checked(word) for word in given}))
        # Characters of the longest match, and the one after it.
        self._longest = (
            max((len(word) + word.count(" ") * (MAX_BETWEEN - 1) for word in map(checked, given)), default=0) + 1
        )
        # Words without a letter are compared as they are written.
        self._literal = {fold(word.strip()) for word in given if not has_letter(word)}

    def is_in(self, text: str) -> bool:
        """Whether one of the words is in the text."""
        return finish(self.is_in_slices(text))

    def is_in_slices(self, text: str) -> Sliced[bool]:
        """Like `is_in`, in slices."""
        for span in self._found(text):
            if span is not None:
                return True
            yield
        return False

    def find(self, text: str) -> list[tuple[int, int]]:
        """The words: the first index of each, and the one after its last."""
        return [span for span in self._found(text) if span is not None]

    def mask(self, text: str) -> str:
        """The text with asterisks in place of the words, as long as before."""
        return finish(self.mask_in_slices(text))

    def mask_in_slices(self, text: str) -> Sliced[str]:
        """Like `mask`, in slices."""
        chars = list(text)
        for span in self._found(text):
            if span is None:
                yield
            else:
                start, end = span
                chars[start:end] = "*" * (end - start)
        return "".join(chars)

    def _found(self, text: str) -> Iterator[tuple[int, int] | None]:
        """The words in their order, and None after each slice."""
        folded = yield from Folded.in_slices(text)
        # Each spelling is checked once: a text may have thousands of them.
        checked_spellings: dict[str, bool] = {}
        for match in self._matches(folded.text):
            if match is None:
                yield None
                continue
            start, end = folded.place(match.start()), folded.place(match.end() - 1) + 1
            spelling = text[start:end]
            counts = checked_spellings.get(spelling)
            if counts is None:
                counts = checked_spellings[spelling] = self._counts(spelling)
            if counts:
                yield start, end

    def _matches(self, folded: str) -> Iterator[re.Match[str] | None]:
        """All matches, and None after each slice. A match begins in its slice and may end after it."""
        at = 0
        for end in range(SLICE_CHARS, len(folded) + SLICE_CHARS, SLICE_CHARS):
            while at < end:
                match = self._pattern.search(folded, at, end + self._longest)
                if match is None or match.start() >= end:
                    break
                yield match
                at = match.end()
            at = max(at, end)
            yield None

    def _counts(self, found: str) -> bool:
        return has_letter(found) or fold(found) in self._literal


def has_letter(text: str) -> bool:
    return any(map(str.isalpha, fold(text)))


def checked(word: str) -> str:
    """A word in the form that is compared, with one space between the words of a phrase. Raises ValueError."""
    folded = " ".join(fold_loosely(word).split())
    if not folded or max(len(word), len(folded)) > MAX_WORD_LENGTH:
        raise ValueError(
            f"not a valid word: {word[:MAX_WORD_LENGTH]!r}; expected 1 to {MAX_WORD_LENGTH} visible characters"
        )
    return folded


def pattern_of(words: Iterable[str]) -> str:
    """One pattern for all words: four tries, by whether a word begins and ends in a spaced script."""
    tries: dict[tuple[bool, bool], Trie] = {}
    for word in words:
        insert(tries.setdefault((is_spaced(word[0]), is_spaced(word[-1])), {}), word)
    branches = [
        (INSIDE_BEFORE if before else "") + render(trie) + (INSIDE_AFTER if after else "")
        for (before, after), trie in sorted(tries.items())
    ]
    return f"(?:{'|'.join(branches)}){NOTHING_JOINS}" if branches else r"(?!)"


def as_pattern(words: Iterable[str]) -> str:
    """One pattern for literal words."""
    trie: Trie = {}
    for word in words:
        insert(trie, word)
    return render(trie)


def is_spaced(char: str) -> bool:
    return SPACED.match(char) is not None


def insert(trie: Trie, word: str) -> None:
    for char in word:
        trie = trie.setdefault(char, {})
    trie[END] = {}


def render(trie: Trie) -> str:
    """The trie as a pattern. Common beginnings are written once, and a chain of single characters is no group."""
    text = ""
    while len(trie) == 1 and END not in trie:
        ((char, trie),) = trie.items()
        text += literal(char)
    ways = [literal(char) + render(rest) for char, rest in sorted(trie.items()) if char != END]
    if not ways:
        return text
    return f"{text}(?:{'|'.join(ways)}){'?' if END in trie else ''}"


def literal(char: str) -> str:
    return BETWEEN if char == " " else re.escape(char)
