"""Frame payload <-> structs, in msgpack and in JSON.

Decoding takes two steps, so that a body that does not fit is still answered under its id: first `[id, raw body]`, then the
body against the union of all commands. msgspec does both in one pass over typed fields and refuses before it allocates;
what its types cannot say (depth of free-form fields, NUL, not-a-number) is looked at only when the bytes give reason to.
"""

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta, Raw, Struct

from chatd.errors import Refused
from chatd.wire.messages import Command, Event, Result

FrameId = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Envelope = tuple[FrameId, Raw]

TEXT: Final = 1
BINARY: Final = 2

Malformed = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class NotAFrame(Exception):
    """The payload is no `[id, body]` array of this codec. The socket is closed with `protocol_error`."""


class Tag(Struct):
    """Only the type of a body."""

    t: str


class Codec:
    """One negotiated encoding. `opcode` is the only opcode its data frames may have (RFC 6455, section 5.2)."""

    __slots__ = ("_bodies", "_encode", "_envelopes", "_nul", "_tags", "name", "opcode", "subprotocol")

    def __init__(self, name: str, opcode: int, format_: Any, nul: bytes, commands: Iterable[type[Command]]) -> None:
        self.name = name
        self.subprotocol = f"chatd.v1.{name}"
        self.opcode = opcode
        self._nul = nul
        self._encode: Callable[[Any], bytes] = format_.Encoder().encode
        self._envelopes = format_.Decoder(Envelope)
        self._tags = format_.Decoder(Tag)
        self._bodies = {tag_of(kind): format_.Decoder(kind) for kind in commands}

    def open_envelope(self, payload: bytes) -> tuple[int, Raw]:
        """The first step: the id and the bytes of the body. Raises NotAFrame."""
        try:
            return cast(tuple[int, Raw], self._envelopes.decode(payload))
        except Malformed as error:
            raise NotAFrame(str(error)) from None

    def decode_command(self, body: Raw, max_depth: int) -> Command:
        """The second step. Raises Refused: `bad_request` with the path, or `unknown_command`."""
        try:
            command = self._decoder_of(body).decode(body)
        except Malformed as error:
            raise Refused("bad_request", bounded(error)) from None
        if self._nul in bytes(body) or has_free_form(command):
            check_free_form(command, max_depth)
        return cast(Command, command)

    def _decoder_of(self, body: Raw) -> Any:
        tag = self._tags.decode(body).t
        decoder = self._bodies.get(tag)
        if decoder is None:
            raise Refused("unknown_command", f"no command has the type {tag[:64]!r}")
        return decoder

    def encode_reply(self, frame_id: int, result: Result) -> bytes:
        return self._encode((frame_id, result))

    def encode_event(self, event: Event) -> bytes:
        return self._encode((0, event))


def codecs(commands: Iterable[type[Command]]) -> dict[str, Codec]:
    """The codecs by the name of their subprotocol, the default first."""
    kinds = tuple(commands)
    both = (
        Codec("msgpack", BINARY, msgspec.msgpack, b"\x00", kinds),
        Codec("json", TEXT, msgspec.json, rb"\u0000", kinds),
    )
    return {codec.subprotocol: codec for codec in both}


def tag_of(kind: type[Struct]) -> str:
    """The `t` of a wire type."""
    return cast(str, kind.__struct_config__.tag)


def bounded(error: Exception) -> str:
    """What was wrong, without repeating what was sent at length."""
    text = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return text.replace("Object contains", "$: object contains")[:300]


def has_free_form(command: Struct) -> bool:
    return getattr(command, "meta", None) is not None or getattr(command, "attachments", None) is not None


def check_free_form(value: Any, depth: int, path: str = "$") -> None:
    """Refuse what Postgres or another client could not take: NUL, extension types, not-a-number, nesting past `depth`."""
    if depth < 0:
        raise Refused("bad_request", f"{path}: nested too deeply")
    if isinstance(value, str):
        check_text(value, path)
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            check_free_form(getattr(value, name), depth - 1, f"{path}.{name}")
    elif isinstance(value, dict):
        check_map(value, depth, path)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_free_form(item, depth - 1, f"{path}[{index}]")
    else:
        check_scalar(value, path)


def check_map(value: dict[Any, Any], depth: int, path: str) -> None:
    for key, item in value.items():
        if not isinstance(key, str):
            raise Refused("bad_request", f"{path}: keys must be str")
        check_text(key, path)
        check_free_form(item, depth - 1, f"{path}.{key[:32]}")


def check_text(value: str, path: str) -> None:
    if "\x00" in value:
        raise Refused("bad_request", f"{path}: NUL is not allowed in text")


def check_scalar(value: Any, path: str) -> None:
    if value is None or isinstance(value, bool) or value is msgspec.UNSET:
        return
    if isinstance(value, float) and isfinite(value):
        return
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return
    raise Refused("bad_request", f"{path}: {type(value).__name__} with this value is not allowed")
