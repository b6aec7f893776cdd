"""Words of any script: total, linear, and highlights that are what they say."""

import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.search.tokenizer import (
    FOLDS,
    MAX_ASCII_LENGTH,
    MAX_HIGHLIGHTS,
    MAX_KNOWN,
    MAX_SIZE,
    MAX_TOKEN_LENGTH,
    MAX_TOKENS,
    ascii_tokens,
    fold,
    highlights,
    term_of,
    tokens,
)

# What is hard: marks, joiners, Hangul in parts, half-width kana, ligatures, scripts without spaces, things that fold to
# several.
HARD = (
    "aBß İıéÅ\u0301\u0327\u200d\ufe0f\u1100\u1161\u11a8각ｶﾞガ゙か\u3099ﷺ㈱½ﬃกำี้ລາວခြမြန်ខ្មែរ"
    "東京都に👍🏽🇩🇪हिं\u0640م\u064f_-'\"@.\n\t\x00"
)
NASTY = st.text(
    st.sampled_from(HARD) | st.characters(codec="utf-8"),
    max_size=60,
)


@given(NASTY)
def test_every_text_has_bounded_tokens(text: str) -> None:
    found = tokens(text)
    assert len(found) == len(set(found)) <= MAX_TOKENS
    for token in found:
        assert token
        assert len(token) <= MAX_TOKEN_LENGTH
        assert not re.search(r"[\s@'\\]", token)
        assert fold(token) == token


@given(st.text(st.characters(max_codepoint=127), max_size=400))
def test_short_way_for_ascii_equals_the_general_way(text: str) -> None:
    assert ascii_tokens(text) == tokens(text)


@pytest.mark.parametrize("length", [64, 65, 7999, 8000])
def test_short_way_has_the_same_limits(length: int) -> None:
    for text in ("aB" * length, "a " * length, "".join(f"{number:x} " for number in range(length))):
        assert ascii_tokens(text[:length]) == tokens(text[:length])


def test_short_way_is_for_short_texts_of_ascii() -> None:
    assert ascii_tokens("caf\u00e9") is None
    assert ascii_tokens("a " * MAX_ASCII_LENGTH) is None


@given(NASTY, NASTY, st.booleans())
def test_highlights_are_within_the_text_and_match_the_query(text: str, query: str, prefix: bool) -> None:
    term = term_of(query, prefix=prefix)
    if term is None:
        assert fold(query).strip(" ") == ""
        return
    spans = highlights(text, [term])
    if spans is None:
        return
    assert 0 < len(spans) <= MAX_HIGHLIGHTS
    last = -1
    for start, end in spans:
        assert last < start < end <= len(text)
        last = end
        pieces = re.sub(" +", " ", fold(text[start:end]))
        assert pieces.strip(" ")
    assert set(term.lexemes[:-1] if term.prefix else term.lexemes) <= set(tokens(text))
    if term.prefix:
        assert any(token.startswith(term.lexemes[-1]) for token in tokens(text))


@given(NASTY, st.data())
def test_every_substring_of_words_is_found(text: str, data: st.DataObject) -> None:
    """Any run of whole words, however its form is normalized, and any part of a run without spaces."""
    words = text.split()
    if words:
        first = data.draw(st.integers(0, len(words) - 1))
        query = " ".join(words[first : data.draw(st.integers(first + 1, len(words)))])
        term = term_of(query)
        if term is not None and fold(text) == fold(" ".join(words)):
            assert highlights(text, [term]) is not None
            assert set(term.lexemes) <= set(tokens(text))


@given(st.text(st.characters(codec="utf-8", categories=("L", "Nd", "Zs")), max_size=40))
def test_composed_and_decomposed_texts_are_equal(text: str) -> None:
    assert fold(unicodedata.normalize("NFC", text)) == fold(
        unicodedata.normalize("NFC", unicodedata.normalize("NFD", text))
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Größe", "GRO\u0308SSE"),
        ("Ærøskøbing", "aeroskobing"),
        ("İstanbul", "istanbul"),
        ("한국", unicodedata.normalize("NFD", "한국")),
        ("ガギグ", "ｶﾞｷﾞｸﾞ"),
        ("がぎ", unicodedata.normalize("NFD", "がぎ")),
        ("ﬁne", "fine"),
        ("ΣΊΣΥΦΟΣ", "σισυφος"),
        ("１２３", "123"),
        ("سَلام", "سلام"),
        ("שָׁלוֹם", "שלום"),
        ("soft\u00adhyphen", "softhyphen"),
        ("กำ", "ก\u0e4d\u0e32"),
    ],
)
def test_equivalent_spellings_match(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_different_spellings_do_not_match() -> None:
    assert fold("かぎ") != fold("かき")
    assert fold("ไม่") != fold("ไม")
    assert fold("की") != fold("का")


def test_runs_have_their_pairs_and_words_are_whole() -> None:
    assert tokens("東京都 abc") == ["東", "京", "東京", "都", "京都", "abc"]
    assert tokens("v2.1 a_b x@y.org") == ["v2", "1", "a", "b", "x", "y", "org"]
    term = term_of("京都大")
    assert term is not None
    assert term.lexemes == ("京都", "都大")
    assert highlights("京都 都大", [term]) is None
    assert highlights("東京都大学", [term]) == [(1, 4)]


def test_words_have_edges_and_beginnings_three_letters() -> None:
    for query, prefix, text, expected in (
        ("wor", True, "Hello World, sword", [(6, 9)]),
        ("wo", True, "Hello World", None),
        ("wor", False, "Hello World", None),
        ("hello world", False, "Hello -- World!", [(0, 14)]),
        ("caf\u00e9", False, "le cafe\u0301!", [(3, 8)]),
    ):
        term = term_of(query, prefix=prefix)
        assert term is not None
        assert (query, highlights(text, [term])) == (query, expected)


def test_required_and_excluded_terms_are_applied() -> None:
    one, two = term_of("one"), term_of("two")
    assert one is not None
    assert two is not None
    assert highlights("one two", [one, two]) == [(0, 3), (4, 7)]
    assert highlights("one two", [one], [two]) is None
    assert highlights("one", [one, two]) is None
    assert highlights("anything", [], [two]) == []


LONG = {
    "a word": "a" * 16_384,
    "words of a letter": "a " * 8192,
    "words that differ": " ".join(f"w{number}" for number in range(3000)),
    "Han": "".join(chr(0x4E00 + number) for number in range(5461)),
    "marks": "\u0301\u0316" * 4096,
    "marks that stay": "\u0e34\u0e38" * 2730,
    "what becomes eighteen": "\ufdfa" * 5461,
    "Hangul in parts": "\u1100\u1161\u11a8" * 1820,
    "emoji": "👍🏽" * 2048,
    "nothing": "\u200b" * 5461,
    "spaces": " " * 16_384,
    "code points": "".join(map(chr, range(0x10000, 0x11000))),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_texts_take_linear_time(text: str) -> None:
    """Milliseconds; what is not linear takes minutes here."""
    query = term_of(text)
    began = time.process_time()
    found = tokens(text)
    spans = highlights(text, [query] if query else [])
    assert time.process_time() - began < 1.0
    assert len(found) <= MAX_TOKENS
    assert sum(map(len, found)) <= MAX_SIZE
    assert spans is not None
    assert len(spans) <= MAX_HIGHLIGHTS


def test_cache_is_bounded() -> None:
    for start in range(0, 0x110000, 0x8000):
        fold("".join(chr(code) for code in range(start, start + 0x8000) if not 0xD800 <= code < 0xE000))
        assert len(FOLDS) <= MAX_KNOWN
