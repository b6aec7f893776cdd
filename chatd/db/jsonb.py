"""Python values <-> the text of a jsonb, so that what goes in comes out equal and of the same type.

jsonb keeps numbers as decimals: it writes the float 1e20 as the integer 100000000000000000000, which msgpack cannot carry. So
an integral float goes in with a fraction, which jsonb keeps. What other programs, or versions before this rule, have stored is
read as the nearest value that both codecs can carry, so that no row fails the page it is on.
"""

import json
import re
from typing import Any

import msgspec

SMALLEST, LARGEST = -(2**63), 2**63 - 1
# Containers in a value, one inside the other. The gateway refuses much less deep ones.
MAX_DEPTH = 100
# Only numbers of so many digits can be too large.
LONG_NUMBER = re.compile(r"[0-9]{19}")
# How msgspec writes a float of 1e16 and above; the same in a text only costs a look.
EXPONENT = re.compile(rb"[0-9]e[0-9]")


def to_jsonb(value: Any) -> str:
    """The text for a jsonb. Numbers are int64 or finite floats, see `wire.free_form`."""
    data = msgspec.json.encode(value)
    return (msgspec.json.encode(with_fractions(value)) if EXPONENT.search(data) else data).decode()


def with_fractions(value: Any) -> Any:
    """The same value, in which jsonb takes no float for an integer."""
    if isinstance(value, dict):
        return {key: with_fractions(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_fractions(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return with_fractions(msgspec.to_builtins(value))
    if isinstance(value, float) and value.is_integer():
        return msgspec.Raw(f"{value:.1f}".encode())
    return value


def from_jsonb(text: str) -> Any:
    """The value of a jsonb. Numbers that are too large become the nearest float, or None; so does what is nested too deeply."""
    if LONG_NUMBER.search(text) is None and text.count("[") + text.count("{") <= MAX_DEPTH:
        return msgspec.json.decode(text)
    try:
        return pruned(json.loads(text, parse_int=number_of, parse_float=number_of), MAX_DEPTH)
    except RecursionError:
        return None


def number_of(digits: str) -> float | None:
    """An int where it is written as one and fits 64 bits."""
    # jsonb writes no exponents, and the longest int64 has 20 characters. Python refuses to read integers of 4,300 digits.
    if "." not in digits and len(digits) <= 20 and SMALLEST <= int(digits) <= LARGEST:
        return int(digits)
    number = float(digits)
    return number if abs(number) != float("inf") else None


def pruned(value: Any, depth: int) -> Any:
    """Without containers below this depth."""
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {key: pruned(item, depth - 1) for key, item in value.items()}
    return [pruned(item, depth - 1) for item in value]
