"""The entries of the stream that nodes talk over: the forms in which Redis gives them, and what one can do who is no node."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from chatd.db.redis import Redis

# How long the stream may become, in entries, bytes and seconds; whichever comes first.
MOST_ENTRIES = 20_000
MAX_STREAM_BYTES = 64 * 1024 * 1024
MAX_AGE_S = 120
# Bytes of orders after which an entry is full; a larger order has an entry to itself. Entries over READABLE are skipped.
MAX_ENTRY_BYTES = 128 * 1024
MAX_READABLE_BYTES = 4 * 1024 * 1024
# Entries that are read at once.
PAGE = 50


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


def entry_of(fields: dict[bytes, bytes]) -> Entry | None:
    """The entry; None when it is foreign, damaged or too large to be one of ours."""
    data = fields.get(b"b", b"")
    if len(data) > MAX_READABLE_BYTES:
        return None
    try:
        return DECODE(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def size_of(fields: dict[bytes, bytes]) -> int:
    return sum(len(name) + len(value) for name, value in fields.items())


def rows_of(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The answer of XREAD for one stream, in the forms of RESP2 and of redis-py."""
    return pairs(next(iter(answer.values())) if isinstance(answer, dict) else answer[0][1])


def pairs(rows: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(id_, fields) for id_, fields in rows]


async def recent(redis: Redis, seconds: int = 3) -> list[str]:
    """The nodes that wrote in the last seconds, by the clock of Redis, and have not left. Raises Refused."""
    now, _ = await redis.call("TIME")
    left: dict[str, bool] = {}
    until = "+"
    while True:
        rows = pairs(await redis.call("XREVRANGE", redis.key("bus"), until, (int(now) - seconds) * 1000, "COUNT", PAGE))
        until = f"({rows[-1][0].decode()}" if rows else until
        for entry in readable(rows):
            left.setdefault(entry.node, entry.leaves)
        if len(rows) < PAGE:
            return [node for node, gone in left.items() if not gone]


def readable(rows: list[tuple[bytes, dict[bytes, bytes]]]) -> Iterator[Entry]:
    return (entry for entry in (entry_of(fields) for _, fields in rows) if entry is not None)


async def announce(redis: Redis, name: str, order: bytes) -> None:
    """One order to all nodes, from somebody who is none, such as a command. `name` must be new. Raises Refused."""
    entry = ENCODE(Entry(name, 1, [], [Raw(order)], leaves=True))
    await redis.call("XADD", redis.key("bus"), "MAXLEN", "~", MOST_ENTRIES, "*", "b", entry)
