"""The entries of the stream that nodes talk over, and the forms in which Redis gives them."""

from typing import Any

import msgspec
from msgspec import Raw, Struct


class Entry(Struct, array_like=True):
    """One entry of the stream: the `number`th of this node.

    `welcome`: nodes that it has heard of for the first time. `leaves`: it is the last one.
    """

    node: str
    number: int
    welcome: list[str]
    orders: list[Raw]
    leaves: bool = False


DECODE = msgspec.msgpack.Decoder(Entry).decode
ENCODE = msgspec.msgpack.Encoder().encode


def entries_of(rows: Any) -> list[tuple[bytes, bytes]]:
    """The answer of XREAD for one stream, in the forms of RESP2 and of redis-py."""
    found = next(iter(rows.values())) if isinstance(rows, dict) else rows[0][1]
    return [(id_, fields[b"b"]) for id_, fields in pairs(found)]


def pairs(rows: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(id_, fields) for id_, fields in rows]


def order_of(id_: bytes) -> tuple[int, int]:
    """Ids of a stream as what they are compared by."""
    milliseconds, _, number = id_.partition(b"-")
    return int(milliseconds), int(number or 0)
