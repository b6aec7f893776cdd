"""Unwanted words in any spelling."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.filters.text_folding import LOOSE, MAX_KNOWN
from chatd.filters.word_filter import MAX_WORD_LENGTH, WordFilter

WORDS = [
    "ass",
    "asshole",
    "shit",
    "kill yourself",
    "1488",
    "傻逼",
    "ควย",
    "씨발",
    "가",
    "か",
    "сука",
    "कुत्ता",
    "🖕",
    "Straße",
]
FILTER = WordFilter(WORDS)


@pytest.mark.parametrize(("text", "masked"), [
    ("SHIT!", "****!"), ("sh\u200bit", "*****"), ("ｓｈｉｔ", "****"), ("ѕһіт", "****"), ("s\u0336h\u0336i\u0336t\u0336",
    "*******\u0336"),
    ("sh1t a$$ 4SS", "**** *** ***"), ("asshole ass", "******* ***"), ("ass_hat", "***_hat"),
    ("strasse, STRASSE", "*******, *******"),
    ("kill -- yourself", "****************"), ("Kill\nYourself", "*************"), ("kill your self", "kill your self"),
    ("class passé shitty", "class passé shitty"), ("455 euros", "455 euros"), ("1488 14881", "**** 14881"),
    ("你傻逼吗", "你**吗"), ("これはassです", "これは***です"), ("ไอ้ควยเอ๊ย", "ไอ้***เอ๊ย"), ("씨발놈", "**놈"), ("cукa", "****"),
    ("각", "각"), ("가", "*"), ("が", "が"), ("कुत्ता", "******"), ("कुत्ताओं", "कुत्ताओं"), ("🖕🏽!", "*🏽!"), ("", ""),
])  # fmt: skip
def test_word_filter_finds_variants_of_listed_words_only(text: str, masked: str) -> None:
    assert FILTER.mask(text) == masked
    assert FILTER.is_in(text) is (masked != text)


@pytest.mark.parametrize("word", ["", "  ", "\u200b", "x" * (MAX_WORD_LENGTH + 1), "\ufdfa" * 20])
def test_invalid_words_are_rejected(word: str) -> None:
    with pytest.raises(ValueError, match="not a valid word"):
        WordFilter(["fine", word])


def test_empty_word_list_matches_nothing() -> None:
    assert not WordFilter([]).is_in("anything")


PARTS = st.sampled_from(
    [*WORDS, " ", "\u200b", "ß", "ﬁ", "\ufdfa", "\u0301", "5", "a", "가", "\u11a8", "\n", "*", "\U0001f3fd"]
)
TEXTS = st.lists(st.one_of(PARTS, st.text(max_size=5))).map("".join)


@given(TEXTS)
def test_mask_has_the_length_of_the_word(text: str) -> None:
    masked = FILTER.mask(text)
    assert len(masked) == len(text)
    assert all(there in (here, "*") for here, there in zip(text, masked, strict=True))
    assert FILTER.is_in(text) is bool(FILTER.find(text))
    for start, end in FILTER.find(text):
        assert masked[start:end] == "*" * (end - start)


@given(st.lists(st.text(min_size=1, max_size=8), max_size=8), TEXTS)
def test_listed_words_are_not_used_as_patterns(words: list[str], text: str) -> None:
    try:
        found = WordFilter(words)
    except ValueError:
        return
    found.mask(text)
    for word in words:
        if any(char.isascii() and char.isalpha() for char in word):
            assert found.is_in(word), word


LONG = {
    "one letter": "a" * 16_384,
    "almost": "asshol" * 2730,
    "digits": "455 " * 4096,
    "spaces": "kill" + " " * 16_380,
    "phrase": "kill " * 3276,
    "marks in a bad order": "a" + "\u0315" * 8000 + "\u0300" * 8000,
    "long forms": "\ufdfa" * 5461,
    "Han": "傻" * 5461,
    "all": "傻逼" * 2730,
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in LONG.items()])
def test_long_text_takes_linear_time(text: str) -> None:
    """16 KB of words that are prefixes of each other take milliseconds; a non-linear algorithm takes seconds."""
    nested = WordFilter(
        [*WORDS, *("a" * length for length in range(1, 101)), *("傻" * length for length in range(1, 101))]
    )
    for words in (FILTER, nested):
        before = time.thread_time()
        words.is_in(text)
        words.mask(text)
        assert time.thread_time() - before < 0.5


def test_folding_cache_is_bounded() -> None:
    """A million entries would take hundreds of megabytes; characters outside of the cache are folded as well."""
    words = WordFilter(["\U00020001", "darn"])
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x30000)]))
    assert words.mask(text).count("*") - text.count("*") == 1
    assert words.is_in("ＤＡＲＮ")
    assert len(LOOSE) <= MAX_KNOWN
    assert (LOOSE.translate("a\0Б"), LOOSE.translate("\0")) == ("a\0б", "\0")
