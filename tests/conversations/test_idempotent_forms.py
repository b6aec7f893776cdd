"""Normal forms are idempotent: otherwise a name that is stored twice would become two names."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.app.command_texts import FORMS
from chatd.cli import printing
from chatd.core import emoji, log, settings, text_forms
from chatd.filters import link_filter, text_folding
from chatd.search import tokenizer
from chatd.uploads import file_names

Form = Callable[[str], str]


def label(text: str) -> str:
    return file_names.label(text) or ""


def prose_on_a_terminal(text: str) -> str:
    return printing.printable(text, keep="\n")


FORMS_OF_TEXT: list[Form] = [
    *dict.fromkeys(FORMS.values()), text_forms.composed, emoji.canonical, label, text_folding.fold, text_folding.fold_loosely,
    tokenizer.fold, link_filter.canonical_host, link_filter.readable, printing.printable, prose_on_a_terminal, settings.one_line,
    log.printable,
]  # fmt: skip
# Controls, spaces and what looks like them, marks (one that NFC takes apart), jamo, what cannot be seen, halves of
# flags, digits.
SPECIAL = (
    "\x00\t\n\x0b\r\x1b\x1c\x1f \x7f\x85\xa0\xad\u0300\u0301\u0327\u0338\u0344\u034f\u0958\u1100\u1161\u11a8\u115f\u2000\u200b"
    "\u200c\u200d\u200e\u2026\u2028\u2029\u202e\u2060\u20e3\u2800\u3000\u3164\u320e\ufb1d\ufe0f\ufeff\uffff\U0001d15e\U0001f3f4"
    "\U000e0067\U000e0062\U000e007f\U000e0100\U0001f1e6\U0001f44daeE./\\²1"
)
CHARACTERS = st.sampled_from(SPECIAL) | st.characters(exclude_categories=["Cs"], exclude_characters="-")
LONG = st.builds(lambda part, times: part * times, st.text(st.sampled_from(SPECIAL), max_size=4), st.integers(8, 70))
TEXTS = st.lists(st.text(CHARACTERS, max_size=12) | LONG, max_size=3).map("".join)


@pytest.mark.parametrize("form", FORMS_OF_TEXT)
@given(text=TEXTS)
def test_a_form_is_idempotent(form: Form, text: str) -> None:
    assert form(form(text)) == form(text)


@pytest.mark.parametrize("form", FORMS_OF_TEXT)
def test_the_form_of_each_character_is_idempotent(form: Form) -> None:
    """For the parts of Unicode with spaces, marks, signs, jamo and compatibility characters. Digits separate them."""
    points = [*range(0x80, 0x3400), *range(0xF900, 0x10000), *range(0xE0000, 0xE0200)]
    for start in range(0, len(points), 64):
        once = form("1".join(map(chr, points[start : start + 64])))
        assert form(once) == once
