"""The entries of the stream that nodes talk over: the forms in which Redis gives them, and what one can do who is no node."""

from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw, Struct

from chatd.store.redis import Redis

# How long the stream may become, and entries that are read of it at once.
MOST_ENTRIES = 20_000
PAGE = 500


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


async def recent(redis: Redis, seconds: int = 3) -> list[str]:
    """The nodes that wrote in the last seconds, by the clock of Redis, and have not left. Raises Refused."""
    now, _ = await redis.call("TIME")
    left: dict[str, bool] = {}
    until = "+"
    while True:
        rows = pairs(await redis.call("XREVRANGE", redis.key("bus"), until, (int(now) - seconds) * 1000, "COUNT", PAGE))
        for id_, fields in rows:
            until = f"({id_.decode()}"
            with suppress(msgspec.DecodeError):
                entry = DECODE(fields[b"b"])
                left.setdefault(entry.node, entry.leaves)
        if len(rows) < PAGE:
            return [node for node, gone in left.items() if not gone]


async def announce(redis: Redis, name: str, order: bytes) -> None:
    """One order to all nodes, from somebody who is none, such as a command. `name` must be new. Raises Refused."""
    entry = ENCODE(Entry(name, 1, [], [Raw(order)], leaves=True))
    await redis.call("XADD", redis.key("bus"), "MAXLEN", "~", MOST_ENTRIES, "*", "b", entry)
