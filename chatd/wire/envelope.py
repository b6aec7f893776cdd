"""Finds the id of a message with an unreadable body, so that the refusal is answered under it.

Malformed content (half of a surrogate pair, NaN, a number with a leading zero, a nesting that is too deep) makes the
decoder refuse the whole message. If its brackets outside of strings are balanced, it is still an `[id, body]` array.
The same holds in msgpack for a body with the byte 0xc1, which begins no value, and for a nesting that is too deep: the
end of such a body is unknown, so the array counts as complete. A message that ends too early, or continues after the
array, is not an array in either codec. This code runs for refused messages only, and mostly in C: a message has up to
64 KiB.
"""

from collections.abc import Callable
from itertools import accumulate

import msgspec

Open = Callable[[bytes], tuple[int, object]]

# Size of the array header and the id in msgpack, in bytes.
MAX_HEAD_BYTES = 5 + 9
# The error of msgspec for the byte 0xc1.
NO_VALUE = "invalid opcode"
SPACE = b" \t\r\n"
OPENING, CLOSING = (b"[", b"{"), (b"]", b"}")
# A command has fewer brackets. Beyond them only the sum is checked.
MAX_STEPS = 8192
# Signed bytes: one level down, one level up.
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
NO_MARKS = bytes(set(range(256)) - set(b"[{]},:"))


def id_in_json(payload: bytes, open_: Open, error: Exception) -> int | None:
    """The id of `[id, body]`, whatever the content of the body; None if the payload is not such an array."""
    end = payload.find(b",")
    body = payload[end + 1 :].strip(SPACE)
    if end < 0 or not body.endswith(b"]") or not is_one_value(body[:-1].strip(SPACE)):
        return None
    try:
        return open_(payload[:end] + b",null]")[0]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def is_one_value(text: bytes) -> bool:
    """Whether the brackets and commas of a JSON text are those of exactly one complete value."""
    parts = text.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
    outside = b'"'.join(parts[::2])
    if not outside or len(parts) % 2 == 0:
        return False
    if outside[:1] not in OPENING:
        return not outside.translate(None, NO_MARKS)
    steps = memoryview(outside.translate(STEPS, NO_BRACKETS)).cast("b")
    return outside[-1:] in CLOSING and sum(steps) == 0 and min(accumulate(steps[:-1][:MAX_STEPS])) > 0


def id_in_msgpack(payload: bytes, open_: Open, error: Exception) -> int | None:
    """The id of `[id, body]` with a body that cannot be read to its end; None if the payload is not such an array."""
    if not isinstance(error, RecursionError) and NO_VALUE not in str(error):
        return None
    for end in range(2, MAX_HEAD_BYTES + 1):
        try:
            return open_(payload[:end] + b"\xc0")[0]
        except msgspec.DecodeError:
            continue
    return None
