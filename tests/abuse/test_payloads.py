"""Abuse of the content of a body, in both codecs, by the codec alone and through the daemon."""

from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.core.errors import Refused
from chatd.subsystems import load_registry
from chatd.wire.base import Command
from chatd.wire.codec import BadBody, Codec, NotAFrame, codecs
from tests.support import NOBODY, Daemon
from tests.wire_client import Raw

CODECS = codecs(load_registry().on_socket)
MSGPACK, JSON = CODECS["chatd.v1.msgpack"], CODECS["chatd.v1.json"]
DEPTH = 16
TYPING = {"t": "typing.start", "conversation": NOBODY}
SEND = {"t": "message.send", "conversation": NOBODY, "client_id": "x", "text": "hi"}


def decode(codec: Codec, payload: bytes) -> Command:
    frame_id, body = codec.open_envelope(payload)
    assert frame_id == 7
    return codec.decode_command(body, DEPTH)


def packed(body: Any) -> bytes:
    return bytes(msgpack.packb([7, body]))


def refusal(payload: bytes, codec: Codec = MSGPACK) -> str:
    """The code with which the payload is refused."""
    with pytest.raises(Refused) as caught:
        decode(codec, payload)
    return caught.value.code


def raw_send(field: str, value: bytes) -> bytes:
    """A message.send in msgpack with one more field, given as bytes."""
    fields = b"".join(msgpack.packb(item) for pair in SEND.items() for item in pair)
    return b"\x92\x07" + bytes((0x80 | len(SEND) + 1,)) + fields + msgpack.packb(field) + value


@pytest.mark.parametrize("depth", [500, 1100, 100_000])
@pytest.mark.parametrize("field", ["meta", "nonsense"])
def test_deep_nesting_is_refused(depth: int, field: str) -> None:
    """Also inside an unknown field. No RecursionError is raised."""
    for opening in (b"\x91", b"\x81\xa1a"):
        assert refusal(raw_send(field, opening * depth + b"\xc0")) == "bad_request"
    data = b'[7,{"t":"message.send","%s":' % field.encode() + b"[" * depth + b"]" * depth + b"}]"
    assert refusal(data, JSON) == "bad_request"


@pytest.mark.parametrize("header", [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"])
def test_a_declared_length_of_four_gigabytes_is_refused(header: bytes) -> None:
    for data in (b"\x92\x07" + header + b"\xff" * 4, raw_send("meta", header + b"\xff" * 4), header + b"\xff" * 4):
        with pytest.raises((Refused, NotAFrame)):
            decode(MSGPACK, data)


def test_sixty_four_kilobytes_of_empty_maps_are_refused() -> None:
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
def test_invalid_payload_is_a_bad_request(body: Any) -> None:
    assert refusal(packed(body)) == "bad_request"


@pytest.mark.parametrize("field", ["sender", "sender_id", "role", "tenant", "seq", "created_at", "user"])
def test_unknown_fields_and_commands_are_refused(field: str) -> None:
    assert refusal(packed({**SEND, field: "x"})) == "bad_request"
    assert refusal(packed({"t": "user_connected", "user_id": NOBODY})) == "unknown_command"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 2**63, -(2**63) - 0, 2**64 - 1])
def test_numbers_beyond_a_bigint_are_refused(value: float) -> None:
    """In a free-form field."""
    if value == -(2**63):
        assert decode(MSGPACK, packed({**SEND, "meta": {"n": value}}))
    else:
        assert refusal(packed({**SEND, "meta": {"n": value}})) == "bad_request"


@pytest.mark.parametrize("code", [0, 5, 127])
def test_extension_types_are_refused(code: int) -> None:
    assert refusal(packed({**SEND, "meta": {"n": msgpack.ExtType(code, b"x" * 12)}})) == "bad_request"
    for seconds in (b"\xff" * 12, b"\x00" * 12, b"\x7f" * 12):
        assert refusal(raw_send("meta", b"\x81\xa1n\xc7\x0c\xff" + seconds)) == "bad_request"


@pytest.mark.parametrize("text", ["a\x00b", "\x00"])
def test_nul_is_refused(text: str) -> None:
    """Postgres would refuse the text."""
    for body in (
        {**SEND, "text": text},
        {**SEND, "client_id": text},
        {**SEND, "meta": {"a": [text]}},
        {**SEND, "meta": {text: 1}},
    ):
        assert refusal(packed(body)) == "bad_request"
        assert refusal(msgspec.json.encode([7, body]), JSON) == "bad_request"


def test_last_value_of_a_repeated_key_counts() -> None:
    """The behaviour is defined, and the same in both codecs."""
    doubled = b'[7,{"t":"ping","ts":1,"ts":2}]'
    assert decode(JSON, doubled) == decode(MSGPACK, b"\x92\x07\x83\xa1t\xa4ping\xa2ts\x01\xa2ts\x02")


@pytest.mark.parametrize(
    "payload", [b"", b"\xc1", b"\x92\x07", b"\x92\x07\xc0\x00", b"\x93\x07\x80\x80", b"\x92\xa17\x80", b"\x92\xff\x80"]
)
def test_invalid_frame_raises_not_a_frame(payload: bytes) -> None:
    with pytest.raises(NotAFrame):
        MSGPACK.open_envelope(payload)


LONE = [r"\ud83d", r"\udc00", r"\ud800\ud800", r"\ud83d\u0041", r"x\ud83d\ud83d\ude00"]
BAD_VALUES = [
    *(f'"{text}"' for text in LONE),
    *(
        r'"\x"',
        r'"\u12"',
        '"a\nb"',
        '"\x7f\x01"',
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "01",
        "1.",
        "+1",
        ".5",
        "0x10",
        "tru",
        "undefined",
    ),
    *(
        "9" * 5000,
        "-" + "9" * 400,
        "1,,2",
        "'a'",
        "[1,]",
        '{"a":1,}',
        '{"a" 1}',
        "{1:2}",
        "{,}",
        '{"a":1 "b":2}',
        "/*c*/1",
        "[" * 5000 + "]" * 5000,
    ),
    *('{"a":' * 3000 + "1" + "}" * 3000, "\u0001", "1 2"),
]
PLACES = [
    '"text":%s',
    '"meta":{"a":%s}',
    '"meta":{"a":[1,{"b":%s}]}',
    '"client_id":%s',
    '"attachments":[%s]',
    '"nonsense":%s',
    '"t":%s',
]


@pytest.mark.parametrize("value", BAD_VALUES, ids=lambda value: value[:20])
def test_bad_content_in_json_is_refused_under_its_id(value: str) -> None:
    """Only a payload that is no `[id, body]` array closes the socket."""
    for place in PLACES:
        start = f'[7, {{"t":"message.send","conversation":"{NOBODY}",{place % value}'
        for text in (f"{start}}}]", f' {start} , "reply_to": "]}}\\\\"}}  ]\n'):
            assert refusal(text.encode(), JSON) == "bad_request"


@pytest.mark.parametrize("key", LONE)
def test_a_lone_surrogate_in_a_key_is_refused_under_its_id(key: str) -> None:
    for body in ('{"%s":1}', '{"t":"ping","ts":1,"%s":1}', '{"t":"message.send","meta":{"%s":1}}', '["%s"]', '"%s"'):
        assert refusal(f"[7,{body % key}]".encode(), JSON) == "bad_request"


@pytest.mark.parametrize(
    "value",
    [
        *(
            b"\xa2\xff\xfe",
            b"\xa3\xed\xa0\xbd",
            b"\xa2\xc0\xaf",
            b"\xcf" + b"\xff" * 8,
            b"\xcb\x7f\xf8" + bytes(6),
            b"\xca\xff\x80\x00\x00",
        ),
        *(
            b"\xc4\x02ab",
            b"\xd4\x05a",
            b"\x81\x91\x01\x02",
            b"\x81\x80\x02",
            b"\x81\xc0\x02",
            b"\x81\xa2\xff\xfe\x01",
            b"\x81\xc4\x01a\x01",
        ),
        *(
            b"\x91" * 5000 + b"\xc0",
            b"\x81\xa1a" * 5000 + b"\xc0",
            b"\x81\xcb\x7f\xf8" + bytes(6) + b"\x01",
            b"\x81\x81\x01\x01\x01",
        ),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_bad_content_in_msgpack_is_refused_under_its_id(value: bytes) -> None:
    for field in ("text", "meta", "attachments", "nonsense"):
        for inner in (value, b"\x81\xa1a" + value, b"\x91" + value, b"\x81\xa1a\x92\x01" + value):
            assert refusal(raw_send(field, inner)) == "bad_request"


@pytest.mark.parametrize(
    "value",
    [b"\xc1", b"\xc1" * 3, b"\x92\xc1\x01", b"\x81\xc1\x01", b"\xc1\xff\xff", b"\xdd\xff\xff\xff\xff\xc1"],
)
@pytest.mark.parametrize("frame_id", [b"\x07", b"\xcc\x07", b"\xcd\x00\x07", b"\xce\x00\x00\x00\x07"])
def test_invalid_msgpack_byte_is_bad_content(value: bytes, frame_id: bytes) -> None:
    """As an invalid word in JSON: refused under the id, anywhere in the body."""
    for start in (b"", b"\x81\xa1t", b"\x82\xa1t\xa4ping\xa2ts", b"\x91", b"\x81\xa4meta\x81\xa1\xc1"):
        for array in (b"\x92", b"\xdc\x00\x02", b"\xdd\x00\x00\x00\x02"):
            assert refusal(array + frame_id + start + value) == "bad_request"
    for head in (b"", b"\x91", b"\x92", b"\x93\x07", b"\x81\x07", b"\x92\xa17", b"\x92\xff", b"\x92\xc0"):
        with pytest.raises(NotAFrame):
            MSGPACK.open_envelope(head + value)


@pytest.mark.parametrize(
    ("payload", "codec"),
    [
        (b"\x92\x00\xc1", MSGPACK),
        (b"\x92\xcc\x00\xc1", MSGPACK),
        (b"\xdc\x00\x02\xcd\x00\x00\xc1", MSGPACK),
        (b"\xdd\x00\x00\x00\x02\xce\x00\x00\x00\x00\x81\xa1t\xc1", MSGPACK),
        (b"\x92\x00" + b"\x91" * 5000 + b"\xc0", MSGPACK),
        (rb'[0,{"t":"\ud83d"}]', JSON),
        (b"[0,NaN]", JSON),
        (b"[0, " + b"[" * 5000 + b"]" * 5000 + b"]", JSON),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else value.name,
)
def test_the_id_0_of_an_unreadable_body_is_found(payload: bytes, codec: Codec) -> None:
    with pytest.raises(BadBody) as caught:
        codec.decode_command(codec.open_envelope(payload)[1], DEPTH)
    assert caught.value.frame_id == 0


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{}",
            "[",
            "[]",
            "[7]",
            "[7,]",
            "[7,{}",
            "[7,{}]]",
            "[7,{}]x",
            "[7,{},2]",
            "[7,{},{}]",
            "[[7,{}]]",
            "7,{}",
            '"[7,{}]"',
            "[7 {}]",
        ),
        *(
            r'["\ud83d",{}]',
            "[NaN,{}]",
            "[07,{}]",
            "[7.0,{}]",
            "[00,{}]",
            "[0.0,{}]",
            "[-1,{}]",
            "[4294967296,{}]",
            r'[7,{"a":"\ud83d"}',
            r'[7,"\ud83d]',
        ),
        *(
            r'[7,{"a":"\ud83d"},2]',
            r'[7,{"a":"\ud83d"}}]',
            r'[7,{"a":"\ud83d"}]]',
            r'{"a":"\ud83d"}',
            r'["\ud83d"]',
            r'[7,"\ud83d",{}]',
        ),
    ],
)
def test_message_that_is_not_an_id_body_array_closes(text: str) -> None:
    with pytest.raises(NotAFrame):
        JSON.open_envelope(text.encode())


json_text = st.recursive(
    st.sampled_from(["1", "null", '"a"', '"@"', r'"@\"]}["', r'"\\\\@"', '"{@"']),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.lists(inner, max_size=3).map(lambda parts: "{" + ",".join(f'"@":{part}' for part in parts) + "}")
    ),
    max_leaves=8,
).filter(lambda text: "@" in text)


@given(json_text, st.sampled_from([r"\ud83d", "\x01", r"\x"]), st.integers(0, 2**32 - 1))
def test_the_end_of_an_array_is_found_whatever_its_content(body: str, bad: str, frame_id: int) -> None:
    start = f"[{frame_id},"
    broken = start + body.replace("@", bad)
    with pytest.raises(BadBody) as caught:
        JSON.open_envelope(f"{broken}]".encode())
    assert caught.value.frame_id == frame_id
    for text in (broken, f"{broken}],", f"{broken},1]", f"{start}[{broken.removeprefix(start)}]", f"{broken}]]"):
        with pytest.raises(NotAFrame):
            JSON.open_envelope(text.encode())


def test_truncated_and_damaged_payloads_raise_declared_errors_only() -> None:
    """No error other than the two exceptions is raised."""
    for codec, whole in (
        (MSGPACK, packed({**SEND, "meta": {"a": [1, "é"]}})),
        (JSON, msgspec.json.encode([7, {**SEND, "meta": {"a": [1, "é"]}}])),
        (MSGPACK, msgpack.packb([0, TYPING])),
        (JSON, msgspec.json.encode([0, TYPING])),
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
def test_random_payloads_are_refused_or_close_the_connection(payload: bytes) -> None:
    for codec in CODECS.values():
        attempt(codec, payload)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text().filter(lambda t: "\x00" not in t),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5).filter(lambda t: "\x00" not in t), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5).filter(lambda t: "\x00" not in t), plain, max_size=4), st.text(max_size=50))
def test_both_codecs_return_the_same_answers(meta: dict[str, Any], text: str) -> None:
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


async def test_refusal_has_the_command_id_and_the_session_continues(daemon: Daemon) -> None:
    for codec in ("json", "msgpack"):
        async with daemon.person(codec=codec) as alice:
            refused = await alice.refused("message.send", conversation=NOBODY, client_id="x", txt="hi")
            assert (refused.code, "txt" in refused.message) == ("bad_request", True)
            assert "$.text" in (await alice.refused("message.send", conversation=NOBODY, client_id="x", text=5)).message
            assert (await alice.refused("no.such")).code == "unknown_command"
            assert await alice.is_served()


async def test_unreadable_content_is_refused_and_the_session_continues(daemon: Daemon) -> None:
    async with Raw.session(daemon) as raw:
        for number, body in enumerate(
            [rb'{"t":"message.send","text":"hello \ud83d"}', b'{"t":"ping","ts":NaN}', b"[" * 9999 + b"]" * 9999], 1
        ):
            await raw.send(Raw.frame_of(b"[%d,%s]" % (number, body)))
            answered, answer = msgspec.json.decode((await raw.frame())[1])
            assert (answered, answer["t"], answer["code"]) == (number, "error", "bad_request")
        await raw.send(Raw.frame_of(b'[9,{"t":"ping","ts":1}]'))
        assert b'"pong"' in (await raw.frame())[1]
    async with Raw.session(daemon, "msgpack") as raw:
        for number, body in enumerate(
            [b"\xc1", b"\x82\xa1t\xa4ping\xa2ts\xc1", b"\x91" * 5000 + b"\xc1", raw_send("meta", b"\xc1")[2:]], 1
        ):
            await raw.send(Raw.frame_of(b"\x92" + bytes([number]) + body, 2))
            answered, answer = msgspec.msgpack.decode((await raw.frame())[1])
            assert (answered, answer["t"], answer["code"]) == (number, "error", "bad_request")
        await raw.send(Raw.frame_of(b"\x92\x09\x82\xa1t\xa4ping\xa2ts\x01", 2))
        assert b"pong" in (await raw.frame())[1]
