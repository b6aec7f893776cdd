"""No pattern of chatd takes more than linear time, whatever the text, and no text of a user is ever a pattern."""

import re
from typing import Any

import pytest

from chatd.core.ids import PYTHON_END
from tests.abuse.growth import grows
from tests.abuse.patterns import collected, ends_before_newline, sre, texts


def slow_texts(pattern: "re.Pattern[Any]") -> list[tuple[str, str, str]]:
    """The first prefix, pump and end for which the time grows out of proportion."""
    is_bytes = isinstance(pattern.pattern, bytes)

    def find_all(text: Any) -> None:
        for _ in pattern.finditer(text):
            pass

    for prefix, pump, end in texts(pattern):

        def make(size: int, parts: tuple[str, str, str] = (prefix, pump, end)) -> Any:
            text = parts[0] + (parts[1] * size)[:size] + parts[2]
            return text.encode("latin-1", "replace") if is_bytes else text

        if grows(find_all, make) or grows(pattern.fullmatch, make):
            return [(prefix, pump, end)]
    return []


@pytest.mark.parametrize("pattern", [pytest.param(pattern, id=name) for name, pattern in collected()])
def test_a_pattern_takes_linear_time(pattern: "re.Pattern[Any]") -> None:
    assert slow_texts(pattern) == []


def test_no_pattern_ignores_a_final_newline() -> None:
    """In Python `$` matches before one: a name with a newline would pass as a name."""
    lines = {name: pattern for name, pattern in collected() if not pattern.flags & re.MULTILINE}
    assert [
        name for name, pattern in lines.items() if ends_before_newline(sre.parse(pattern.pattern, pattern.flags))
    ] == []
    assert ends_before_newline(sre.parse("(x|a$)?"))
    assert not ends_before_newline(sre.parse(rf"[$]\$(x{PYTHON_END}|y\Z)"))


@pytest.mark.parametrize(
    "bad",
    [
        rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([\x20-\x7e\t]*?)[ \t]*",
        r"(a+)+b",
        r"(\w|\d)*!",
        r"\s*\[",
        r"x*x*x*y",
        r"([0-9]+\.)*([0-9.]+)*;",
        r"a.*b.*c",
        r"eyJ[\w-]+\.",
    ],
)
def test_the_search_detects_known_slow_patterns(bad: str | bytes) -> None:
    """The header of a handshake that stopped the process, and the textbook cases."""
    assert slow_texts(re.compile(bad))


def test_every_pattern_is_collected() -> None:
    """Those of expressions, of calls with a literal, of types, and of what is built at run time."""
    places = {name.partition(":")[0] for name, _ in collected()}
    assert places >= {
        "chatd.gateway.handshake",
        "chatd.core.settings",
        "chatd.wire.base",
        "chatd.filters.word_filter",
        "chatd.moderation.settings",
    }
