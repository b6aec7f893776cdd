"""Long answers are encoded item by item, with checkpoints in between.

JSON escapes up to six bytes for each character: a page of 200 messages of 16 KB takes up to 40 ms to encode.
"""

from collections.abc import Callable, Sequence
from typing import Any

import trio
from msgspec import Raw
from msgspec.structs import replace

from chatd.core.slices import Sliced
from chatd.core.turns import in_turns
from chatd.wire.base import Result

# Longer lists are encoded item by item.
MAX_INLINE_ITEMS = 8
Encode = Callable[[Any], bytes]


async def with_encoded_items(result: Result, encode: Encode) -> Result:
    """The same result with the items of its long lists encoded, for the codec of this `encode`."""
    fields = ((name, getattr(result, name)) for name in result.__struct_fields__)
    lists = {name: value for name, value in fields if value.__class__ is list and len(value) > MAX_INLINE_ITEMS}
    if not lists:
        return result
    result = replace(result, **{name: await in_turns(encoded(items, encode)) for name, items in lists.items()})
    # Joining them is a turn of its own.
    await trio.lowlevel.checkpoint()
    return result


def encoded(items: Sequence[object], encode: Encode) -> Sliced[list[Raw]]:
    done = list[Raw]()
    for item in items:
        done.append(Raw(encode(item)))
        yield
    return done
