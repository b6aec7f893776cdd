"""Text from users is printed as text."""

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from chatd.cli import printing
from chatd.cli.printing import fields, printable, styled

EVIL = ("[/]", "[red]x", r"\[/]", "\\", "a\\\\\\", "[bold", ":smile:", "\x1b[2J", "\x9b2J", "a\rb", "\u202eab", "a\nb")


def shown(*parts: str | tuple[str, str]) -> str:
    file = io.StringIO()
    Console(file=file, soft_wrap=True).print(styled(*parts))
    return file.getvalue()


@given(text=st.text() | st.sampled_from(EVIL))
@example(text=r"\[/]")
def test_text_is_printed_without_markup(text: str) -> None:
    expected = printable(text, keep="\n")
    assert shown((text, "bold"), "|", text) == f"{expected}|{expected}\n"
    assert all(sign.isprintable() or sign in "\n\u200c\u200d" for sign in expected)


def test_joiners_are_printed() -> None:
    assert printable("می\u200cخواهم 👩\u200d👧\tx") == "می\u200cخواهم 👩\u200d👧 x"


def test_values_cannot_imitate_fields() -> None:
    assert fields({"name": "Ann\nerased_at 1", "state": "open"}).plain.splitlines() == [
        "name           Ann",
        "               erased_at 1",
        "state          open",
    ]


@pytest.mark.parametrize(("rows", "text"), [((), "none\n"), ([("1", "a\nb"), ("2",)], "1\n    a?b\n2\n")])
def test_records_are_printed_in_indented_lines(
    rows: list[tuple[str, ...]], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.StringIO()
    monkeypatch.setattr(printing, "out", Console(file=file, soft_wrap=True))
    printing.records(rows)
    assert file.getvalue() == text
