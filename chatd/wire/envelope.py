"""The id of a message whose body cannot be read, so that the refusal is answered under it.

A body that is malformed in its content (half of a surrogate pair, NaN, a number with a leading zero, a nesting that is too deep)
makes the decoder refuse the whole message. The message is still an `[id, body]` array when the brackets outside its strings say
so. In msgpack the same holds for a body with the byte 0xc1, which begins no value, and for a nesting that is too deep: where such
a body ends cannot be known, so the array counts as whole. A message that ends too early, or goes on after the array, is no array
in either codec. What follows runs for refused messages only, and in C for the most part: a message has up to 64 KiB.
"""

from collections.abc import Callable
from itertools import accumulate

import msgspec

Open = Callable[[bytes], tuple[int, object]]

# Of msgpack: the header of the array and the id, in bytes.
LONGEST_HEAD = 5 + 9
# What msgspec says of the byte 0xc1.
NO_VALUE = "invalid opcode"
SPACE = b" \t\r\n"
OPENING, CLOSING = (b"[", b"{"), (b"]", b"}")
# Of more brackets than a command can have only the sum is looked at.
MAX_STEPS = 8192
# Signed bytes: one level down, one level up.
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
NO_MARKS = bytes(set(range(256)) - set(b"[{]},:"))


def id_in_json(payload: bytes, open_: Open, error: Exception) -> int | None:
    """The id of `[id, body]`, whatever the content of the body; None for what is no such array."""
    end = payload.find(b",")
    body = payload[end + 1 :].strip(SPACE)
    if end < 0 or not body.endswith(b"]") or not is_one_value(body[:-1].strip(SPACE)):
        return None
    try:
        return open_(payload[:end] + b",null]")[0]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def is_one_value(text: bytes) -> bool:
    """Whether the brackets and commas of a JSON text are those of one value, and not of several, or of a part."""
    parts = text.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
    outside = b'"'.join(parts[::2])
    if not outside or len(parts) % 2 == 0:
        return False
    if outside[:1] not in OPENING:
        return not outside.translate(None, NO_MARKS)
    steps = memoryview(outside.translate(STEPS, NO_BRACKETS)).cast("b")
    return outside[-1:] in CLOSING and sum(steps) == 0 and min(accumulate(steps[:-1][:MAX_STEPS])) > 0


def id_in_msgpack(payload: bytes, open_: Open, error: Exception) -> int | None:
    """The id of `[id, body]` where the body cannot be read to its end; None for what is no such array."""
    if not isinstance(error, RecursionError) and NO_VALUE not in str(error):
        return None
    for end in range(2, LONGEST_HEAD + 1):
        try:
            return open_(payload[:end] + b"\xc0")[0]
        except msgspec.DecodeError:
            continue
    return None
