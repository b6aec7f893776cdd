"""Converts Python values to jsonb and back, so that a value is read as it was written, with the same types.

jsonb stores numbers as decimals: it writes the float 1e20 as the integer 100000000000000000000, which msgpack cannot
encode. So integral floats are written with a fraction, which jsonb keeps. Values of other programs are read as the
nearest value that both codecs can encode, so that one malformed row does not make its page fail.
"""

import json
import re
from typing import Any

import msgspec

SMALLEST, LARGEST = -(2**63), 2**63 - 1
# Nesting depth. The gateway accepts much less.
MAX_DEPTH = 100
# Numbers with fewer digits fit into 64 bits.
LONG_NUMBER = re.compile(r"[0-9]{19}")
# msgspec writes floats from 1e16 on like this. A match inside a string costs time only.
EXPONENT = re.compile(rb"[0-9]e[0-9]")


def to_jsonb(value: Any) -> str:
    """The text of a jsonb. Numbers are int64 or finite floats, see `wire/validation.py`."""
    data = msgspec.json.encode(value)
    return (msgspec.json.encode(with_fractions(value)) if EXPONENT.search(data) else data).decode()


def with_fractions(value: Any) -> Any:
    """The same value, with fractions in all integral floats."""
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
    """The value of a jsonb.

    A number that is too large becomes the nearest float or None, and a value nested too deeply None.
    """
    if LONG_NUMBER.search(text) is None and text.count("[") + text.count("{") <= MAX_DEPTH:
        return msgspec.json.decode(text)
    try:
        return pruned(json.loads(text, parse_int=number_of, parse_float=number_of), MAX_DEPTH)
    except RecursionError:
        return None


def number_of(digits: str) -> float | None:
    """An int if it is written as one and fits into 64 bits."""
    # jsonb writes no exponents, and the longest int64 has 20 characters. Python refuses to read integers of 4,300
    # digits.
    if "." not in digits and len(digits) <= 20 and SMALLEST <= int(digits) <= LARGEST:
        return int(digits)
    number = float(digits)
    return number if abs(number) != float("inf") else None


def pruned(value: Any, depth: int) -> Any:
    """The value, with None for containers below this depth."""
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {key: pruned(item, depth - 1) for key, item in value.items()}
    return [pruned(item, depth - 1) for item in value]
