"""Encodes and decodes frame payloads, in msgpack and in JSON.

Decoding takes two steps, so that an invalid body is answered under its id: first `[id, raw body]`, then the body as the
command that its tag names. msgspec checks types in one pass and refuses before it allocates; `validation` checks what
types cannot declare.
"""

from collections.abc import Callable, Iterable
from functools import cache
from secrets import token_bytes
from typing import Annotated, Any, Final, NamedTuple, NoReturn, cast

import msgspec
from msgspec import Meta, Raw, Struct

from chatd.core.errors import Refused
from chatd.wire.base import Command, Event, Result
from chatd.wire.envelope import Open, id_in_json, id_in_msgpack
from chatd.wire.explanations import explain
from chatd.wire.frames import encode_frame
from chatd.wire.validation import UntypedFields, untyped_fields

FrameId = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Envelope = tuple[FrameId, Raw]
FindId = Callable[[bytes, Open, Exception], int | None]

TEXT: Final = 1
BINARY: Final = 2
# Maximum characters of a tag that are sent back to the client.
MAX_TAG: Final = 64

# msgspec raises no DecodeError for half of a surrogate pair, and for a nesting past Python's own limit.
Malformed = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


# Random bytes that occur in no text: a placeholder for a part that is encoded separately.
GAP: Final = token_bytes(24)


def msgpack_array_head(count: int) -> bytes:
    """The array formats of the msgpack specification."""
    if count < 16:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2, "big") if count < 65_536 else b"\xdd" + count.to_bytes(4, "big")


class Format(NamedTuple):
    """Encoding of values, and of arrays item by item."""

    encode: Callable[[Any], bytes]
    array_head: Callable[[int], bytes]
    comma: bytes
    array_tail: bytes


MSGPACK: Final = Format(msgspec.msgpack.Encoder().encode, msgpack_array_head, b"", b"")
JSON: Final = Format(msgspec.json.Encoder().encode, lambda _: b"[", b",", b"]")


class NotAFrame(Exception):
    """The payload is not an `[id, body]` array of this codec. The connection is closed with `protocol_error`."""


class BadBody(Refused):
    """The payload is an `[id, body]` array with an unreadable body. The refusal is answered under its id."""

    def __init__(self, frame_id: int, message: str) -> None:
        super().__init__("bad_request", message)
        self.frame_id = frame_id


class Tag(Struct):
    """The type of a body."""

    t: str


class Form(NamedTuple):
    """A command: its type, its decoder, and the fields to validate afterwards."""

    kind: type[Command]
    decode: Callable[[Raw], Any]
    untyped: UntypedFields


class Codec:
    """A negotiated encoding. `opcode` is the only opcode that its data frames may have (RFC 6455, section 5.2)."""

    __slots__ = ("_find_id", "_forms", "_nul", "_open", "_tag", "encode", "format", "name", "opcode", "subprotocol")

    def __init__(
        self,
        name: str,
        opcode: int,
        module: Any,
        form: Format,
        nul: bytes,
        find_id: FindId,
        commands: Iterable[type[Command]],
    ) -> None:
        self.name = name
        self.subprotocol = f"chatd.v1.{name}"
        self.opcode = opcode
        self._nul = nul
        self._find_id = find_id
        self.format = form
        self.encode = form.encode
        self._open: Callable[[bytes], tuple[int, Raw]] = module.Decoder(Envelope).decode
        self._tag: Callable[[Raw], Tag] = module.Decoder(Tag).decode
        self._forms = {tag_of(kind): Form(kind, module.Decoder(kind).decode, untyped_fields(kind)) for kind in commands}

    def open_envelope(self, payload: bytes) -> tuple[int, Raw]:
        """The first step: decode the id, and leave the body as bytes. Raises NotAFrame, BadBody."""
        try:
            return self._open(payload)
        except msgspec.ValidationError as error:
            raise NotAFrame(explain(error)) from None
        except Malformed as error:
            frame_id = self._find_id(payload, self._open, error)
            if frame_id is None:
                raise NotAFrame(explain(error)) from None
            raise BadBody(frame_id, explain(error)) from None

    def decode_command(self, body: Raw, max_depth: int) -> Command:
        """The second step: decode the body. Raises Refused: `bad_request` with the path, or `unknown_command`."""
        form = None
        try:
            tag = self._tag(body).t
            form = self._forms.get(tag) or unknown(tag)
            command: Command = form.decode(body)
        except Malformed as error:
            raise Refused("bad_request", explain(error, form and form.kind)) from None
        form.untyped.check(command, max_depth, nul=self._nul in bytes(body))
        return command

    def tag_in(self, body: Raw) -> str:
        """The tag of a body that may be unreadable; "" if there is none, or if it is too long to be one."""
        try:
            tag = self._tag(body).t
        except Malformed:
            return ""
        return tag if len(tag) <= MAX_TAG else ""

    def encode_reply(self, frame_id: int, result: Result) -> bytes:
        return self.encode((frame_id, result))

    def reply_around(self, frame_id: int) -> tuple[bytes, bytes]:
        """The bytes before and after the result of a reply."""
        head, _, tail = self.encode((frame_id, Raw(GAP))).partition(GAP)
        return head, tail

    def encode_event(self, event: Event) -> bytes:
        return self.encode((0, event))

    def frame_of(self, body: Any) -> bytes:
        """Encode an event, given as a map or as bytes of this codec, as a WebSocket frame."""
        return encode_frame(self.opcode, self.encode((0, body)))


class EventCodec(Codec):
    """Events in JSON, without the frame of a WebSocket around them."""

    __slots__ = ()

    def frame_of(self, body: Any) -> bytes:
        return self.encode((0, body))


EVENTS: Final = EventCodec("json", TEXT, msgspec.json, JSON, rb"\u0000", id_in_json, ())


def unknown(tag: str) -> NoReturn:
    raise Refused("unknown_command", f"no command has the type {tag[:MAX_TAG]!r}")


def codecs(commands: Iterable[type[Command]]) -> dict[str, Codec]:
    """The codecs by subprotocol; the first one is the default."""
    return {codec.subprotocol: codec for codec in codecs_of(tuple(commands))}


@cache
def codecs_of(kinds: tuple[type[Command], ...]) -> tuple[Codec, ...]:
    """The codecs, made once for the process: they contain nothing of a connection."""
    return (
        Codec("msgpack", BINARY, msgspec.msgpack, MSGPACK, b"\x00", id_in_msgpack, kinds),
        Codec("json", TEXT, msgspec.json, JSON, rb"\u0000", id_in_json, kinds),
    )


def tag_of(kind: type[Struct]) -> str:
    """The `t` of a wire type."""
    return cast(str, kind.__struct_config__.tag)
