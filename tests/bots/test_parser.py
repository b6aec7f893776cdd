"""The parser of commands: what it reads, what it refuses, and its time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatd.bots.declarations import Argument
from chatd.bots.parser import MAX_INTEGER, BadArguments, Call, NamedUser, arguments, call_in
from tests.abuse.growth import grows
from tests.examples import examples

NAMES = ("city", "days", "loud", "who", "unit", "ratio")
USER = "0190a3c4-5b00-7000-8000-000000000b0b"
VALUES: dict[str, Any] = {
    "string": st.text(min_size=1, max_size=30).filter(lambda text: text.strip() == text and bool(text)),
    "integer": st.integers(-MAX_INTEGER, MAX_INTEGER),
    "number": st.integers(-(10**6), 10**6).map(lambda value: value / 8),
    "boolean": st.booleans(),
    "user": st.just(NamedUser(USER)),
    "choice": st.sampled_from(("km", "mi", "two words")),
}


def argument(name: str, type_: str, *, required: bool = True) -> Argument:
    return Argument(name, type_, required=required, choices=["km", "mi", "two words"] if type_ == "choice" else [])  # type: ignore[arg-type]


@st.composite
def calls(draw: st.DrawFn) -> tuple[list[Argument], dict[str, Any]]:
    """Declared arguments, and a value for each."""
    types = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=len(NAMES)))
    declared = [argument(name, type_) for name, type_ in zip(NAMES, types, strict=False)]
    return declared, {one.name: draw(VALUES[one.type]) for one in declared}


def written(value: Any) -> str:
    """A value in quotes."""
    text = value.text if isinstance(value, NamedUser) else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(calls(), st.randoms(use_true_random=False))
@settings(max_examples=examples(200), deadline=None)
def test_what_is_written_is_read(call: tuple[list[Argument], dict[str, Any]], random: Any) -> None:
    declared, values = call
    in_order = " ".join(written(value) for value in values.values())
    assert arguments(f" {in_order} ", declared) == values
    named = [f"{name}={written(value)}" for name, value in values.items()]
    random.shuffle(named)
    assert arguments("  ".join(named), declared) == values


@given(st.text(max_size=200), calls())
@settings(max_examples=examples(300), deadline=None)
def test_any_text_is_read_or_refused(text: str, call: tuple[list[Argument], dict[str, Any]]) -> None:
    found = call_in(f"/{text}")
    try:
        values = arguments(text if found is None else found.rest, call[0])
    except BadArguments as error:
        assert str(error)
    else:
        assert set(values) == {one.name for one in call[0]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/weather", Call("weather", None, "")),
        ("/Weather Porto", Call("weather", None, " Porto")),
        ("/weather@sky.bot Porto", Call("weather", "sky.bot", " Porto")),
        ("/weather\nPorto", Call("weather", None, "\nPorto")),
        *(
            (text, None)
            for text in ("weather", " /weather", "/", "/9lives", "/a.b", "/weather@", "//x", "/x/y", "/\u00e9t\u00e9")
        ),
        (f"/{'a' * 32}", Call("a" * 32, None, "")),
        (f"/{'a' * 33}", None),
    ],
)
def test_the_form_of_a_command(text: str, found: Call | None) -> None:
    assert call_in(text) == found


REMIND = [argument("who", "user"), argument("days", "integer"), argument("city", "string", required=False)]


@pytest.mark.parametrize(
    ("rest", "values"),
    [
        ("@bob 3 buy  milk", {"who": NamedUser("@bob"), "days": 3, "city": "buy  milk"}),
        ("@bob 3", {"who": NamedUser("@bob"), "days": 3}),
        ("days=3 @bob", {"who": NamedUser("@bob"), "days": 3}),
        ("DAYS=3 @bob it's 5\" wide", {"who": NamedUser("@bob"), "days": 3, "city": "it's 5\" wide"}),
        ('@bob 3 "a \\"b\\" \\\\ c"', {"who": NamedUser("@bob"), "days": 3, "city": 'a "b" \\ c'}),
        ("@bob 3 \u201cquoted on a phone\u201d", {"who": NamedUser("@bob"), "days": 3, "city": "quoted on a phone"}),
        ("@bob 3 a=b", {"who": NamedUser("@bob"), "days": 3, "city": "a=b"}),
        (f"{USER.upper()} +3", {"who": NamedUser(USER), "days": 3}),
    ],
)
def test_arguments_that_are_accepted(rest: str, values: dict[str, Any]) -> None:
    assert arguments(rest, REMIND) == values


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("", "who is missing"),
        ("@bob", "days is missing"),
        ("bob 3", "who: expected @handle or the id of a user, not bob"),
        ("@bob three", "days: expected a whole number, not three"),
        ("@bob 3.5", "days: expected a whole number"),
        ("@bob 99999999999999999", "days: expected a whole number"),
        ("@bob days=3 days=4", "days is given twice"),
        ("@bob 3 city=", "city: expected a text"),
        ('@bob days="3', "a quote is not closed"),
        ("@bob 3 city=x more", "there is no argument for more"),
    ],
)
def test_arguments_that_are_refused(rest: str, why: str) -> None:
    with pytest.raises(BadArguments, match=why):
        arguments(rest, REMIND)


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        *(("boolean", text, True) for text in ("yes", "TRUE", "on", "1")),
        *(("boolean", text, False) for text in ("no", "false", "Off", "0")),
        *(("number", text, value) for text, value in (("1", 1.0), ("-.5", -0.5), ("1e3", 1000.0), ("2.", 2.0))),
        ("choice", "KM", "km"),
        ("choice", '"Two Words"', "two words"),
        *(("boolean", text, None) for text in ("maybe", "2", "y")),
        *(("number", text, None) for text in ("nan", "inf", "1e999", "0x1", "1,5", "\u0661")),
        *(("integer", text, None) for text in ("\u0661", "1_0", "--1")),
        ("choice", "cm", None),
        ("user", "@", None),
    ],
)
def test_the_types_of_values(type_: str, text: str, value: Any) -> None:
    declared = [argument("unit", type_), argument("ratio", "integer", required=False)]
    if value is None:
        with pytest.raises(BadArguments, match="unit"):
            arguments(text, declared)
    else:
        assert arguments(text, declared) == {"unit": value}


@pytest.mark.parametrize("unit", ['"', "\\", '\\"', " ", "a=", "a ", "city=", '"" ', "@", "\u201c", "/a"])
def test_hostile_texts_take_linear_time(unit: str) -> None:
    declared = [argument("who", "string"), argument("city", "string")]

    def read(text: str) -> None:
        call_in(f"/{text}")
        for rest in (text, f'"{text}', f"x {text}"):
            try:
                arguments(rest, declared)
            except BadArguments:
                continue

    assert not grows(read, lambda size: (unit * size)[:size])
