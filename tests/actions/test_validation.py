"""Which buttons are accepted, and what is stored of them. Without servers."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatd.conversations.button_types import FIELDS, MAX_DATA_BYTES, MAX_PER_ROW, MAX_ROWS, Button, Buttons
from chatd.conversations.messages.buttons import checked, pressable, stored_buttons
from chatd.core.errors import Refused
from tests.examples import examples

VALUES: dict[str, list[Any]] = {
    "data": ["a", "b", "é" * (MAX_DATA_BYTES // 2), "é" * MAX_DATA_BYTES, " ", '"everybody":true'],
    "url": [
        "https://a.test",
        "HTTPS://a.test/x?y#z",
        "http://a.test",
        "javascript:alert(1)",
        "https://",
        "https://a b",
    ],
    "command": ["/help", " /help  me ", "help", "/", "/ help", "/\u202ehelp"],
    "text": ["code 17", "\u200b", "two\nlines"],
}
LABELS = st.sampled_from(["Yes", "  two   words ", "\u200b", " ", "x" * 64])
ONE = st.fixed_dictionaries(
    {"label": LABELS, "kind": st.sampled_from(list(FIELDS))},
    optional={name: st.sampled_from(values) for name, values in VALUES.items()},
)
# Mostly right ones: their fields are those of their kinds.
RIGHT = st.sampled_from(list(FIELDS)).flatmap(
    lambda kind: st.fixed_dictionaries(
        {"label": LABELS, "kind": st.just(kind), FIELDS[kind]: st.sampled_from(VALUES[FIELDS[kind]])}
    )
)
ROWS = st.lists(st.lists(RIGHT | ONE, min_size=1, max_size=3), max_size=3)
HTTPS = re.compile(r"https://[^\s/?#]+", re.IGNORECASE)


def is_right(one: dict[str, Any]) -> bool:
    """The rules, written once more."""
    present = {name for name in VALUES if name in one}
    if present != {FIELDS[one["kind"]]} or not one["label"].strip(" \u200b"):
        return False
    match one["kind"]:
        case "press":
            return len(one["data"].encode()) <= MAX_DATA_BYTES
        case "url":
            return HTTPS.fullmatch(one["url"].partition("?")[0].removesuffix("/x")) is not None
        case "command":
            return re.match(r" */\w", one["command"].replace("\u202e", "")) is not None
    return one["text"] != "\u200b"


@settings(max_examples=examples(400))
@given(rows=ROWS)
def test_buttons_are_accepted_by_their_kind(rows: list[list[dict[str, Any]]]) -> None:
    buttons = msgspec.convert(rows, Buttons)
    data = [one["data"] for row in rows for one in row if "data" in one]
    expected = all(is_right(one) for row in rows for one in row) and len(set(data)) == len(data)
    try:
        found = checked(buttons)
    except Refused as refused:
        assert not expected
        assert refused.code == "bad_request"
        assert refused.message.startswith("$.actions[")
        return
    assert expected
    assert checked(found) == found
    stored = stored_buttons(found)
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(stored)), Buttons) == found
    assert list(pressable(stored)) == data
    assert [[one.label for one in row] for row in found] == [
        [" ".join(one["label"].split()) for one in row] for row in rows
    ]


@pytest.mark.parametrize(
    "rows",
    [
        [[]],
        [[{"label": "x", "data": "d"}] * (MAX_PER_ROW + 1)],
        [[{"label": "x", "data": str(number)}] for number in range(MAX_ROWS + 1)],
        [[{"label": "", "data": "d"}]],
        [[{"label": "x" * 65, "data": "d"}]],
        [[{"label": "x", "data": ""}]],
        [[{"label": "x", "data": "d" * (MAX_DATA_BYTES + 1)}]],
        [[{"label": "x", "data": "d", "kind": "other"}]],
        [[{"label": "x", "data": "d", "style": "red"}]],
        [[{"label": "x", "data": "d", "unknown": 1}]],
        [[{"label": "x", "kind": "url", "url": "https://a.test/" + "x" * 2048}]],
        [{"label": "x", "data": "d"}],
    ],
)
def test_forms_that_are_not_decoded(rows: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(rows, Buttons)


def test_stored_form_leaves_out_defaults() -> None:
    given = [[Button(label=" A ", data="a"), Button(label="B", kind="url", url="https://b.test", style="danger")]]
    assert stored_buttons(checked(given)) == [
        [{"label": "A", "data": "a"}, {"label": "B", "kind": "url", "url": "https://b.test", "style": "danger"}]
    ]
