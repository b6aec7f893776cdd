"""The codec by itself. Malformed payloads are in tests/abuse/test_payloads.py."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from msgspec import Struct

from chatd.conversations.commands.conversations import CreateConversation
from chatd.conversations.messages.sending import SendMessage
from chatd.core.errors import Refused
from chatd.operations.commands import Pong
from chatd.wire.base import Command, Id
from chatd.wire.codec import MAX_TAG, Codec, NotAFrame, codecs, tag_of
from chatd.wire.connection_events import Behind
from chatd.wire.reference.examples import example, example_body
from chatd.wire.validation import MAX_VALUES, UntypedFields
from tests.examples import examples
from tests.golden.vectors import CODECS, COMMANDS, EVENTS, ID, RESULTS, agreed, frame_of, vector_of, vectors
from tests.support import NOBODY
from tests.wire.strategies import anything

MSGPACK, JSON = CODECS["chatd.v1.msgpack"], CODECS["chatd.v1.json"]
BOTH = pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])
DEPTH = 16


class Odd(Command, tag="odd"):
    """A command with every kind of loosely typed field."""

    anything: Any = None
    number: float = 0.0
    count: int = 0
    places: list[float] | None = None
    id: Id | None = None
    text: str = ""
    small: bool = False


ODD = codecs([Odd])


def decode(codec: Codec, payload: bytes, depth: int = DEPTH) -> Command:
    _, body = codec.open_envelope(payload)
    return codec.decode_command(body, depth)


def encode(codec: Codec, value: Any) -> bytes:
    return msgspec.json.encode(value) if codec.name == "json" else msgspec.msgpack.encode(value)


def refusal(codec: Codec, body: Any, depth: int = DEPTH) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(codec, encode(codec, [ID, body]), depth)
    return caught.value


@BOTH
@pytest.mark.parametrize("kind", COMMANDS, ids=tag_of)
def test_every_command_is_read_as_it_was_written(codec: Codec, kind: type[Command]) -> None:
    assert decode(codec, frame_of(kind, codec.name)) == example(kind)
    assert isinstance(decode(codec, encode(codec, [ID, example_body(kind)])), kind)


@pytest.mark.parametrize(
    ("group", "kind"),
    [("commands", kind) for kind in COMMANDS]
    + [("results", kind) for kind in RESULTS]
    + [("events", kind) for kind in EVENTS],
    ids=lambda part: part if isinstance(part, str) else tag_of(part),
)
def test_golden_vectors_are_unchanged(group: str, kind: type[Struct]) -> None:
    known = agreed()[group].get(tag_of(kind))
    assert known == vector_of(kind), "the protocol changes; if that is meant, run `python -m tests.golden.vectors`"


def test_golden_vectors_are_complete() -> None:
    assert {group: set(tags) for group, tags in agreed().items()} == {
        group: set(tags) for group, tags in vectors().items()
    }


@pytest.mark.parametrize("kind", COMMANDS, ids=tag_of)
def test_commands_survive_a_round_trip_in_both_codecs(kind: type[Command]) -> None:
    # Commands share their types: each type of a field is tried in many of them.
    @settings(max_examples=examples(25))
    @given(anything(kind))
    def check(command: Command) -> None:
        for codec in (MSGPACK, JSON):
            assert decode(codec, encode(codec, (ID, command))) == command

    check()


@BOTH
@pytest.mark.parametrize("kind", COMMANDS, ids=tag_of)
def test_damaged_frame_raises_declared_errors_only(codec: Codec, kind: type[Command]) -> None:
    whole = frame_of(kind, codec.name)
    for end in range(len(whole)):
        with pytest.raises((NotAFrame, Refused)):
            decode(codec, whole[:end])
    for place in range(len(whole)):
        for bit in range(8):
            try:
                decode(codec, whole[:place] + bytes((whole[place] ^ 1 << bit,)) + whole[place + 1 :])
            except (NotAFrame, Refused):
                continue


@BOTH
@pytest.mark.parametrize("frame_id", [-1, 2**32, 2**64 - 1, True, False, 0.0, 1.0, "0", "1", None, [1]])
def test_an_id_is_an_integer_of_32_bits(codec: Codec, frame_id: Any) -> None:
    with pytest.raises(NotAFrame):
        codec.open_envelope(encode(codec, [frame_id, {"t": "ping", "ts": 1}]))
    for valid in (0, 1, 2**32 - 1):
        assert codec.open_envelope(encode(codec, [valid, {}]))[0] == valid


@BOTH
def test_the_tag_of_an_unreadable_body_is_found(codec: Codec) -> None:
    """It is found whatever else is in the body, and never longer than a tag can be."""
    bodies: list[tuple[Any, str]] = [
        ({"t": "ping", "ts": "one"}, "ping"),
        ({"a": nested(200), "t": "no.such"}, "no.such"),
        ({"t": "x" * MAX_TAG}, "x" * MAX_TAG),
        *((body, "") for body in ({"t": "x" * (MAX_TAG + 1)}, {"t": 1}, {"t": None}, {}, [], "ping", 1, None)),
    ]
    for body, tag in bodies:
        assert codec.tag_in(msgspec.Raw(encode(codec, body))) == tag
    assert codec.tag_in(msgspec.Raw()) == ""


@BOTH
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"t": "ping", "ts": "1"}, "$.ts: expected int, got str"),
        ({"t": "ping", "ts": True}, "$.ts: expected int, got bool"),
        ({"t": "ping", "ts": 2**63}, "$.ts: int with this value is not allowed"),
        ({"t": "ping"}, "$: object missing required field ts"),
        ({"t": "ping", "ts": 1, "sender": "me"}, "$: object contains unknown field sender"),
        ({"t": "typing.start", "conversation": "x"}, "$.conversation: expected UUID"),
        ({"ts": 1}, "$: object missing required field t"),
    ],
)
def test_refusal_contains_the_path(codec: Codec, body: Any, message: str) -> None:
    refused = refusal(codec, body)
    assert (refused.code, refused.message) == ("bad_request", message)


@BOTH
def test_refusal_shortens_values_of_the_client(codec: Codec) -> None:
    assert len(refusal(codec, {"t": "ping", "ts": 1, "x" * 50_000: 1}).message) < 500
    assert len(refusal(codec, {"t": "y" * 50_000}).message) < 500
    assert refusal(codec, {"t": "no.such"}).code == "unknown_command"


def sent(command: Command) -> SendMessage:
    assert isinstance(command, SendMessage)
    return command


def nested(depth: int, inner: Any = None) -> Any:
    return inner if depth == 0 else {"a": nested(depth - 1, inner)}


@BOTH
def test_nesting_is_counted_from_the_command(codec: Codec) -> None:
    send = example_body(SendMessage)
    assert sent(decode(codec, encode(codec, [ID, {**send, "meta": nested(3, [1])}]), depth=5)).meta == nested(3, [1])
    assert refusal(codec, {**send, "meta": nested(4, [1])}, depth=5).message == "$.meta.a.a.a.a[0]: nested too deeply"


@BOTH
def test_free_form_fields_are_bounded(codec: Codec) -> None:
    send = example_body(SendMessage)
    fits = {"a": [0] * (MAX_VALUES - 2)}
    assert sent(decode(codec, encode(codec, [ID, {**send, "meta": fits}]))).meta == fits
    assert "more than 2000 values" in refusal(codec, {**send, "meta": {"a": [0] * 20_000}}).message


def test_typed_lists_are_bounded_by_their_type() -> None:
    for count in (2560, 10_000):
        body = {**example_body(CreateConversation), "members": [NOBODY] * count}
        command = decode(MSGPACK, encode(MSGPACK, [ID, body]))
        assert isinstance(command, CreateConversation)
        assert len(command.members) == count


def test_only_untyped_fields_are_visited() -> None:
    assert UntypedFields(Odd).untyped == ("anything", "number", "count", "places")
    assert {tag_of(kind): fields for kind in COMMANDS if (fields := UntypedFields(kind).untyped)} == {
        "bot.commands.set": ("commands",),
        "conversation.settings": ("draft_parts",),
        "match.find": ("attributes", "accept"),
        "message.schedule": ("attachments", "meta"),
        "message.send": ("attachments", "meta"),
        "server.message.send": ("attachments", "meta"),
        "ping": ("ts",),
        "user.update": ("profile",),
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("anything", float("nan")),
        ("anything", {"a": {1: 2}}),
        ("anything", [2**64 - 1]),
        ("anything", msgspec.msgpack.Ext(5, b"x")),
        ("anything", {"a": b""}),
        ("number", float("inf")),
        ("places", [1.0, float("-inf")]),
        ("count", 2**63),
    ],
)
def test_values_beyond_the_types_are_refused(field: str, value: Any) -> None:
    assert refusal(ODD["chatd.v1.msgpack"], {"t": "odd", field: value}).message.startswith(f"$.{field}")


@pytest.mark.parametrize("codec", list(ODD.values()), ids=lambda codec: codec.name)
def test_bigint_and_float_values_are_accepted(codec: Codec) -> None:
    for odd in (
        Odd(count=-(2**63)),
        Odd(count=2**63 - 1),
        Odd(number=-0.0),
        Odd(places=[1e308]),
        Odd(anything={"a": [None, True]}),
    ):
        assert decode(codec, encode(codec, [ID, odd])) == odd


@pytest.mark.parametrize("codec", list(ODD.values()), ids=lambda codec: codec.name)
def test_nul_is_found_wherever_text_can_be(codec: Codec) -> None:
    for body in ({"text": "a\x00"}, {"anything": "\x00"}, {"anything": [{"b": "\x00"}]}, {"anything": {"\x00": 1}}):
        assert "NUL" in refusal(codec, {"t": "odd", **body}).message
    assert decode(codec, encode(codec, [ID, {"t": "odd", "text": "\\u0000", "count": 0}])) == Odd(text="\\u0000")


@pytest.mark.parametrize(
    "text", [rb"\ud800", rb"\udc00", rb"\ud800\ud800", rb"\ud83d x", b"\xed\xa0\x80", b"\xff", b"\xc0\xaf"]
)
def test_lone_surrogate_is_refused(text: bytes) -> None:
    with pytest.raises((NotAFrame, Refused)):
        decode(ODD["chatd.v1.json"], b'[7,{"t":"odd","text":"%s"}]' % text)
    with pytest.raises((NotAFrame, Refused)):
        decode(ODD["chatd.v1.msgpack"], b"\x92\x07\x82\xa1t\xa3odd\xa4text\xa3\xed\xa0\x80")


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert decode(ODD["chatd.v1.json"], rb'[7,{"t":"odd","text":"\ud83d\ude00"}]') == Odd(text="😀")


@BOTH
def test_text_is_returned_unchanged(codec: Codec) -> None:
    send = example_body(SendMessage)
    for text in ("👩‍👩‍👧‍👦", "\u202egnp.exe", "e" + "\u0301" * 15_000, "\ufeff", "\u2028", "\x01\x1b[2J\x7f"):
        assert sent(decode(codec, encode(codec, [ID, {**send, "text": text}]))).text == text


@BOTH
def test_answers_carry_the_id_and_events_none(codec: Codec) -> None:
    decoder = msgspec.json if codec.name == "json" else msgspec.msgpack
    result, event = example(Pong), example(Behind)
    assert decoder.decode(codec.encode_reply(9, result)) == [9, msgspec.to_builtins(result)]
    assert decoder.decode(codec.encode_event(event)) == [0, msgspec.to_builtins(event)]


def test_invalid_json_is_reported() -> None:
    with pytest.raises(NotAFrame, match=r"^\$: JSON is malformed"):
        JSON.open_envelope(b"nonsense")
