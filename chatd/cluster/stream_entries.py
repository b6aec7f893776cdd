"""Entries of the bus: how Redis returns them, and how a process that is no node reads and writes them."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from chatd.db.redis import Redis, milliseconds

# Bounds of the stream; the first that is reached applies.
MAX_ENTRIES = 20_000
MAX_STREAM_BYTES = 64 * 1024 * 1024
MAX_AGE_S = 120
# A larger control message has an entry of its own. Entries above MAX_READABLE_BYTES are skipped.
MAX_ENTRY_BYTES = 128 * 1024
MAX_READABLE_BYTES = 4 * 1024 * 1024
# Entries per read.
BATCH_SIZE = 50


class Entry(Struct, array_like=True):
    """One entry of the stream, with the `number` that its node gave it.

    `acks`: new nodes that the writer knows of from now on. `leaves`: it is the last entry of its node.
    """

    node: str
    number: int
    acks: list[str]
    messages: list[Raw]
    leaves: bool = False


DECODE = msgspec.msgpack.Decoder(Entry).decode
ENCODE = msgspec.msgpack.Encoder().encode


def entry_of(fields: dict[bytes, bytes]) -> Entry | None:
    """Decode an entry. Returns None if it is foreign, damaged or too large."""
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
    """The rows of an XREAD of one stream, as Redis returns them."""
    return [(id_, dict(zip(flat[::2], flat[1::2], strict=True))) for id_, flat in answer[0][1]]


def pairs(rows: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(id_, fields) for id_, fields in rows]


async def recent(redis: Redis, seconds: float = 3) -> list[str]:
    """The nodes that wrote within these seconds, by the clock of Redis, and have not left. Raises Refused."""
    now = milliseconds(await redis.call("TIME"))
    left: dict[str, bool] = {}
    until = "+"
    while True:
        rows = pairs(
            await redis.call("XREVRANGE", redis.key("bus"), until, now - int(seconds * 1000), "COUNT", BATCH_SIZE)
        )
        until = f"({rows[-1][0].decode()}" if rows else until
        for entry in readable(rows):
            left.setdefault(entry.node, entry.leaves)
        if len(rows) < BATCH_SIZE:
            return [node for node, gone in left.items() if not gone]


def readable(rows: list[tuple[bytes, dict[bytes, bytes]]]) -> Iterator[Entry]:
    return (entry for entry in (entry_of(fields) for _, fields in rows) if entry is not None)


async def announce(redis: Redis, name: str, message: bytes) -> None:
    """Send a control message from a process that is no node, such as a command. `name` must be new. Raises Refused."""
    entry = ENCODE(Entry(name, 1, [], [Raw(message)], leaves=True))
    await redis.call("XADD", redis.key("bus"), "MAXLEN", "~", MAX_ENTRIES, "*", "b", entry)
