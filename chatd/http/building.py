"""Turns to make an answer in memory, for requests that only read.

How long a list is, is known when it is in memory: without a bound, parallel requests for long lists take their memory before
`long_answers` can refuse them. A turn ends before the answer is written, so a client that does not read keeps none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from quart import g

from chatd.core.config import Config
from chatd.http.slots import Bounds, Owner, Owners, Slots

BOUNDS = Bounds(per_user=4, per_address=32, total=64)


class Building:
    """The answers that are being made."""

    def __init__(self, config: Config) -> None:
        self.owners = Owners(config)
        self._slots = Slots("requests that read", BOUNDS)

    @asynccontextmanager
    async def turn(self, owner: Owner) -> AsyncIterator[None]:
        """Wait for a turn. A long answer counts for this owner (`g.reader`). Raises Refused."""
        async with self._slots.turn(owner):
            g.reader = owner
            yield
