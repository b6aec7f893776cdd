"""Limits on requests that read, while their response is made in memory.

The size of a list is known only when it is in memory: without a limit, parallel requests for long lists would use
memory before `long_answers` can refuse them. A turn ends before the response is written, so a client that does not read
holds none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from quart import g

from chatd.core.config import Config
from chatd.http.slots import Bounds, Owner, Owners, Slots

BOUNDS = Bounds(per_user=4, per_address=32, total=64)


class ReadTurns:
    """The slots for requests whose response is being made."""

    def __init__(self, config: Config) -> None:
        self.owners = Owners(config)
        self._slots = Slots("requests that read", BOUNDS)

    @asynccontextmanager
    async def turn(self, owner: Owner) -> AsyncIterator[None]:
        """Wait for a turn. A long response counts for this owner (`g.reader`). Raises Refused."""
        async with self._slots.turn(owner):
            g.reader = owner
            yield
