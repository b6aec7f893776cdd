"""Rows C of the abuse suite: what a body may hold, in both codecs, by the codec alone and through the daemon."""

from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd import features
from chatd.errors import Refused
from chatd.node.registry import load
from chatd.wire.codec import Codec, NotAFrame, codecs
from chatd.wire.messages import Command
from tests.support import NOBODY, Daemon

CODECS = codecs(load(features).on_socket)
MSGPACK, JSON = CODECS["chatd.v1.msgpack"], CODECS["chatd.v1.json"]
DEPTH = 16
SEND = {"t": "message.send", "conversation": NOBODY, "client_id": "x", "text": "hi"}


def decode(codec: Codec, payload: bytes) -> Command:
    frame_id, body = codec.open_envelope(payload)
    assert frame_id == 7
    return codec.decode_command(body, DEPTH)


def packed(body: Any) -> bytes:
    return bytes(msgpack.packb([7, body]))


def refusal(payload: bytes, codec: Codec = MSGPACK) -> str:
    """The code that the payload is refused with."""
    with pytest.raises(Refused) as caught:
        decode(codec, payload)
    return caught.value.code


def raw_send(field: str, value: bytes) -> bytes:
    """A message.send in msgpack with one more field, whose bytes are given."""
    fields = b"".join(msgpack.packb(item) for pair in SEND.items() for item in pair)
    return b"\x92\x07" + bytes((0x80 | len(SEND) + 1,)) + fields + msgpack.packb(field) + value


@pytest.mark.parametrize("depth", [500, 1100, 100_000])
@pytest.mark.parametrize("field", ["meta", "nonsense"])
def test_deep_nesting(depth: int, field: str) -> None:
    """C3, also inside a field that is not known. RecursionError does not escape."""
    for opening in (b"\x91", b"\x81\xa1a"):
        data = raw_send(field, opening * depth + b"\xc0")
        with pytest.raises((Refused, NotAFrame)):
            decode(MSGPACK, data)
    with pytest.raises((Refused, NotAFrame)):
        decode(JSON, b'[7,{"t":"message.send","%s":' % field.encode() + b"[" * depth + b"]" * depth + b"}]")


@pytest.mark.parametrize("header", [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"])
def test_headers_that_promise_four_gigabytes(header: bytes) -> None:
    """C2."""
    for data in (b"\x92\x07" + header + b"\xff" * 4, raw_send("meta", header + b"\xff" * 4), header + b"\xff" * 4):
        with pytest.raises((Refused, NotAFrame)):
            decode(MSGPACK, data)


def test_sixty_four_kilobytes_of_empty_maps() -> None:
    """C1."""
    many = b"\xdc\xf0\x00" + b"\x80" * 0xF000
    assert refusal(raw_send("attachments", many)) == "bad_request"
    with pytest.raises(NotAFrame):
        MSGPACK.open_envelope(b"\xc0" * 60_000)


@pytest.mark.parametrize(
    "body",
    [
        {**SEND, "nonsense": 1},
        {**SEND, 5: 1},
        {**SEND, None: 1},
        {**SEND, "text": 1},
        {**SEND, "text": b"bytes"},
        {**SEND, "meta": {"a": {5: 1}}},
        {**SEND, "meta": []},
        {**SEND, "client_id": ""},
        {**SEND, "client_id": "x" * 65},
        {**SEND, "conversation": NOBODY.replace("-7", "-G")},
        {**SEND, "conversation": NOBODY + "\n"},
        {**SEND, "conversation": NOBODY.upper().replace("0", "A")},
        {"t": "receipt.read", "conversation": NOBODY, "seq": True},
        {"t": "receipt.read", "conversation": NOBODY, "seq": 1.5},
        {"t": "receipt.read", "conversation": NOBODY, "seq": "1"},
        {"t": "receipt.read", "conversation": NOBODY, "seq": -1},
        {"t": "receipt.read", "conversation": NOBODY, "seq": 2**63},
        {"t": "message.history", "conversation": NOBODY, "limit": 10**9},
        {"t": "message.history", "conversation": NOBODY, "limit": 0},
        {"t": "ping"},
        {"t": 5},
        {},
        [],
        None,
        "text",
    ],
)
def test_what_does_not_fit_is_a_bad_request(body: Any) -> None:
    """C4, C7, H2."""
    assert refusal(packed(body)) == "bad_request"


@pytest.mark.parametrize("field", ["sender", "sender_id", "role", "tenant", "seq", "created_at", "user"])
def test_nothing_can_be_smuggled_in(field: str) -> None:
    """C9, C10."""
    assert refusal(packed({**SEND, field: "x"})) == "bad_request"
    assert refusal(packed({"t": "user_connected", "user_id": NOBODY})) == "unknown_command"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 2**63, -(2**63) - 0, 2**64 - 1])
def test_numbers_that_others_could_not_take(value: float) -> None:
    """C7, in a free-form field."""
    if value == -(2**63):
        assert decode(MSGPACK, packed({**SEND, "meta": {"n": value}}))
    else:
        assert refusal(packed({**SEND, "meta": {"n": value}})) == "bad_request"


@pytest.mark.parametrize("code", [0, 5, 127])
def test_extension_types(code: int) -> None:
    """C6."""
    assert refusal(packed({**SEND, "meta": {"n": msgpack.ExtType(code, b"x" * 12)}})) == "bad_request"
    for seconds in (b"\xff" * 12, b"\x00" * 12, b"\x7f" * 12):
        assert refusal(raw_send("meta", b"\x81\xa1n\xc7\x0c\xff" + seconds)) == "bad_request"


@pytest.mark.parametrize("text", ["a\x00b", "\x00"])
def test_nul(text: str) -> None:
    """C8: Postgres would not take it."""
    for body in (
        {**SEND, "text": text},
        {**SEND, "client_id": text},
        {**SEND, "meta": {"a": [text]}},
        {**SEND, "meta": {text: 1}},
    ):
        assert refusal(packed(body)) == "bad_request"
        assert refusal(msgspec.json.encode([7, body]), JSON) == "bad_request"


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    """C4: defined, and the same in both codecs."""
    doubled = b'[7,{"t":"ping","ts":1,"ts":2}]'
    assert decode(JSON, doubled) == decode(MSGPACK, b"\x92\x07\x83\xa1t\xa4ping\xa2ts\x01\xa2ts\x02")


@pytest.mark.parametrize(
    "payload", [b"", b"\xc1", b"\x92\x07", b"\x92\x07\xc0\x00", b"\x93\x07\x80\x80", b"\x92\xa17\x80", b"\x92\x00\x80"]
)
def test_what_is_no_frame_closes(payload: bytes) -> None:
    """C5."""
    with pytest.raises(NotAFrame):
        MSGPACK.open_envelope(payload)


def test_truncation_at_every_offset_and_every_flipped_bit() -> None:
    """C5: never anything but the two exceptions."""
    for codec, whole in (
        (MSGPACK, packed({**SEND, "meta": {"a": [1, "é"]}})),
        (JSON, msgspec.json.encode([7, {**SEND, "meta": {"a": [1, "é"]}}])),
    ):
        for end in range(len(whole)):
            attempt(codec, whole[:end])
        for place in range(len(whole)):
            for bit in range(8):
                attempt(codec, whole[:place] + bytes((whole[place] ^ 1 << bit,)) + whole[place + 1 :])


def attempt(codec: Codec, payload: bytes) -> None:
    try:
        _, body = codec.open_envelope(payload)
        codec.decode_command(body, DEPTH)
    except (NotAFrame, Refused):
        return


@given(st.binary(max_size=200))
def test_noise(payload: bytes) -> None:
    for codec in CODECS.values():
        attempt(codec, payload)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text().filter(lambda t: "\x00" not in t),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5).filter(lambda t: "\x00" not in t), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5).filter(lambda t: "\x00" not in t), plain, max_size=4), st.text(max_size=50))
def test_both_codecs_say_the_same(meta: dict[str, Any], text: str) -> None:
    body = {**SEND, "meta": meta, "text": text}
    try:
        one: Any = decode(MSGPACK, packed(body))
    except Refused as refused:
        one = refused.code
    try:
        two: Any = decode(JSON, msgspec.json.encode([7, body]))
    except Refused as refused:
        two = refused.code
    assert one == two


async def test_a_refusal_comes_under_its_id_and_the_session_lives_on(daemon: Daemon) -> None:
    for codec in ("json", "msgpack"):
        async with daemon.person(codec=codec) as alice:
            refused = await alice.refused("message.send", conversation=NOBODY, client_id="x", txt="hi")
            assert (refused.code, "txt" in refused.message) == ("bad_request", True)
            assert "$.text" in (await alice.refused("message.send", conversation=NOBODY, client_id="x", text=5)).message
            assert (await alice.refused("no.such")).code == "unknown_command"
            assert await alice.is_served()
