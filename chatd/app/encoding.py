"""Encodes long answers item by item; other tasks run in between.

JSON escapes up to six bytes for each character: a page of 200 messages of 16 KB takes up to 40 ms to encode, and each
copy of it some milliseconds. So the items are appended to one buffer, which is sent without another copy.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from chatd.core.slices import Sliced
from chatd.core.turns import in_turns
from chatd.wire.base import Result
from chatd.wire.codec import GAP, Format

# A list of at most this many items is encoded with the rest of the answer.
FEW = 8
# Free bytes before the result, for the head of a WebSocket frame and the beginning of a reply.
HEADROOM_BYTES = 32


class EncodedResult:
    """A result that is already encoded."""

    __slots__ = ("_buffer",)

    def __init__(self, buffer: bytearray) -> None:
        """Wrap an encoded result. `buffer` begins with the headroom."""
        self._buffer = buffer

    def __len__(self) -> int:
        return len(self._buffer) - HEADROOM_BYTES

    def wrapped(self, head: bytes, tail: bytes) -> memoryview:
        """The result between these bytes, without a copy. May be called once."""
        start = HEADROOM_BYTES - len(head)
        self._buffer[start:HEADROOM_BYTES] = head
        self._buffer += tail
        return memoryview(self._buffer)[start:]


Answer = Result | EncodedResult
AnswerWith = Callable[[Answer], None]


async def encoded_if_long(result: Result, format_: Format) -> Answer:
    """The result encoded, if it has a long list."""
    fields = ((name, getattr(result, name)) for name in result.__struct_fields__)
    lists = {name: value for name, value in fields if value.__class__ is list and len(value) > FEW}
    return EncodedResult(await in_turns(encoded(result, lists, format_))) if lists else result


def encoded(result: Result, lists: dict[str, list[Any]], format_: Format) -> Sliced[bytearray]:
    """The encoded result after the headroom; `lists` are the fields that are encoded item by item."""
    first, *others = format_.encode(replace(result, **dict.fromkeys(lists, Raw(GAP)))).split(GAP)
    buffer = bytearray(HEADROOM_BYTES)
    buffer += first
    for items, after in zip(lists.values(), others, strict=True):
        buffer += format_.array_head(len(items))
        for number, item in enumerate(items):
            if number:
                buffer += format_.comma
            buffer += format_.encode(item)
            yield
        buffer += format_.array_tail + after
    return buffer
