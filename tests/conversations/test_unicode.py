"""Every emoji of Unicode's list in every spelling, and look-alike characters."""

import re
import time
import unicodedata

import pytest
from emoji import EMOJI_DATA
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatd.app.command_texts import key_form
from chatd.core.emoji import canonical, is_emoji
from chatd.core.text_forms import APOSTROPHES, name_form, prose_form
from chatd.filters.text_folding import fold
from chatd.filters.word_filter import WordFilter
from chatd.search.tokenizer import highlights, term_of, tokens

VS16 = "\ufe0f"


def test_emoji_in_any_spelling_is_one_emoji() -> None:
    assert len(EMOJI_DATA) > 5000
    assert [emoji for emoji in EMOJI_DATA if not is_emoji(emoji)] == []
    assert [emoji for emoji in EMOJI_DATA if canonical(emoji.replace(VS16, "")) != canonical(emoji)] == []
    assert [emoji for emoji in EMOJI_DATA if canonical(canonical(emoji)) != canonical(emoji)] == []
    fully = [emoji for emoji, known in EMOJI_DATA.items() if known["status"] == 2]
    assert [emoji for emoji in fully if canonical(emoji) != emoji] == []
    assert len({canonical(emoji) for emoji in fully}) == len(fully) >= 3963


def test_emoji_in_a_text_are_found() -> None:
    for emoji in EMOJI_DATA:
        term = term_of(emoji)
        assert term is not None, emoji
        assert highlights(f"see {emoji} there", [term]), emoji


@pytest.mark.parametrize(
    "text", ["\U0001fa7f", "\U0001fadf\U0001f3fd", "\U0001f9d1\u200d\U0001fa7e", "🇽🇽", "🐈\u200d👤"]
)
def test_emoji_newer_than_the_list_is_accepted(text: str) -> None:
    assert is_emoji(text)


@pytest.mark.parametrize(
    "text", ["👍👍", "👍\u200d", "🇩", "a\ufe0f", "\u20e3", "1", "\U000e0067", "😀a", "→", "\U0001f3f4\U000e007f"]
)
def test_invalid_emoji_is_refused(text: str) -> None:
    assert not is_emoji(text)


def test_apostrophes_fold_to_one_character() -> None:
    words = WordFilter(["m'yata"])
    for mark in APOSTROPHES:
        assert words.is_in(f"so M{mark}yata!"), hex(ord(mark))
        assert tokens(f"m{mark}yata") == ["m", "yata"]


# What is removed, what joins, what composes, what selects, spaces, and letters for them to stand between.
PIECES = [
    *"ab01 \t\n\u00a0\u2003\u2800\u0301\u0327\u0323\u1161\u11a8\u1100",
    *"\u200b\u200c\u200d\u2060\u202e\u00ad\ufeff\x01\x85\ufe0e\ufe0f",
]
PIECES += [
    *"\u3164\u034f\u2764\u2126\u212b\u0958#\u20e3",
    *"\U0001f3fd\U0001f3f4\U000e0067\U000e007f\U0001f1e9\U0001f600",
]
PIECES += ["e\u0301", "1\ufe0f\u20e3"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(max_examples=500)
@example("0 \u200b 0")
@example("e\u200b\u0301")
@example("a \ufe0f b")
@example("a\u200d\ufe0f b")
def test_folding_is_idempotent(text: str) -> None:
    """All spellings of look-alike texts fold to one form, so the form folds to itself."""
    for form in (name_form, prose_form, key_form):
        assert form(form(text)) == form(text), form
    for form in (name_form, key_form):
        assert "  " not in form(text), form
        assert form(text) == form(text.replace("\u200b", "").replace("\u2060", "")), form


@pytest.mark.parametrize(
    "part",
    [
        "\u0301\u0327",
        "\u200d",
        "a\u200d",
        "\U000e0067",
        "\U0001f3f4\U000e0067",
        " ",
        "e\u0301",
        "\u3164",
        "\u202e",
        "\n",
    ],
)
def test_the_form_of_a_text_takes_linear_time(part: str) -> None:
    """Texts far above the limit; quadratic time would take minutes."""
    began = time.process_time()
    for text in (part * (100_000 // len(part)), "a" + part * (100_000 // len(part)) + "b"):
        assert name_form(name_form(text)) == name_form(text)
        assert prose_form(prose_form(text)) == prose_form(text)
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize(
    "text",
    [
        "раураӏ",
        "ΡΑYΡΑL",
        "ｐａｙｐａｌ",
        "𝓅𝒶𝓎𝓅𝒶𝓁",
        "ꓑꓮꓬꓑꓮꓡ",
        "ᏢᎪᎩᏢᎪᏞ",
        "ⲣаyⲣаl",
        "p\u0430yp\u0251l",
        "🅿🅰🆈🅿🅰🅻",
        "🅟🅐🅨🅟🅐🅛",
    ],
)
def test_look_alike_letters_fold_to_one(text: str) -> None:
    assert WordFilter(["paypal"]).is_in(f"your {text} account")


ALPHABET = "abcdefghijklmnopqrstuvwxyz"
# Letters of the Latin script that are an ASCII letter and something more, by their names.
NAMES = re.compile(
    "(LATIN (SMALL|CAPITAL) LETTER|LATIN LETTER SMALL CAPITAL|MODIFIER LETTER (SMALL|CAPITAL)|(NEGATIVE )?(CIRCLED|SQUARED) "
    "LATIN (SMALL|CAPITAL) LETTER|PARENTHESIZED LATIN (SMALL|CAPITAL) LETTER|FULLWIDTH LATIN (SMALL|CAPITAL) LETTER) ([A-Z])"
    "( WITH (?!SMALL|CAPITAL|MIDDLE DOT|RIGHT HALF RING).*)?"
)
# Unicode says that these look like another letter.
OTHERS = {"LATIN SMALL LETTER V WITH HOOK", "LATIN CAPITAL LETTER V WITH HOOK", "MODIFIER LETTER SMALL V WITH HOOK"}
OTHERS |= {"LATIN SMALL LETTER V WITH PALATAL HOOK"}


def test_latin_letters_fold_by_their_unicode_name() -> None:
    """Strokes, hooks, tails, small capitals, circles, brackets, full width."""
    named = ((char, NAMES.fullmatch(unicodedata.name(char, ""))) for char in map(chr, range(0x80, 0x20000)))
    letters = [(char, match[0], match.groups()[-2].lower()) for char, match in named if match]
    assert len(letters) > 800
    assert [one for one in letters if fold(one[0]) != one[2] and one[1] not in OTHERS] == []
    assert [one for one in letters if fold(one[0]) not in ALPHABET] == []


@pytest.mark.parametrize("text", ["ᴘᴀʏᴘᴀʟ", "ρаypaļ", "ᵽⱥɏᵽⱥŀ", "ƥayƥaɫ", "⒫⒜⒴⒫⒜⒧", "🄟🄐🄨🄟🄐🄛", "ᑭᗩYᑭᗩᒪ", "p⍺yp⍺l"])
def test_look_alike_letters_of_other_kinds_fold_to_one(text: str) -> None:
    assert WordFilter(["paypal"]).is_in(f"your {text} account")


def test_lunate_sigma_folds_to_c() -> None:
    assert WordFilter(["scam"]).is_in("a \u0455\u03f2\u0430m")
    assert WordFilter(["scam"]).is_in("A S\u03f9AM")
