"""One task per shard that publishes committed entries in the order of their commit."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

import trio
from msgspec import Struct

from chatd.conversations.log.entries import Advanced, Appended, Entry, Key
from chatd.conversations.log.statements import Result
from chatd.core import log
from chatd.core.errors import Refused

LOG = log.get(__name__)
OnGap = Callable[[str, str, int], Awaitable[None]]
Settle = Callable[[Entry, Any, Exception | None], None]
Gap = tuple[str, str, int]


class InFlight(Struct, eq=False):
    """Entries that are being committed or published, since `began` in trio's time."""

    began: float
    entries: list[Entry]


Outcome = tuple[InFlight, list[Result], Gap | None]


class Publisher:
    """Publishes committed entries: `put` them, and `run` publishes them. `settle` gives an entry its outcome."""

    def __init__(self, on_gap: OnGap, settle: Settle) -> None:
        self._on_gap = on_gap
        self._settle = settle
        self._flights: list[InFlight] = []
        self._send, self._receive = trio.open_memory_channel[Outcome](0)
        self.messages = 0

    @contextmanager
    def flight(self, entries: list[Entry]) -> Iterator[InFlight]:
        """A scope that lasts while these entries are committed, and until those that are `put` are published."""
        flight = InFlight(trio.current_time(), entries)
        self._flights.append(flight)
        try:
            yield flight
        except BaseException:
            self._flights.remove(flight)
            raise

    def began(self, key: Key) -> float:
        """The time at which the oldest commit with this conversation began; infinity if there is none."""
        return min(
            (flight.began for flight in self._flights if any(entry.key == key for entry in flight.entries)), default=inf
        )

    def entries(self) -> list[Entry]:
        """All entries in flight."""
        return [entry for flight in self._flights for entry in flight.entries]

    async def put(self, flight: InFlight, results: list[Result]) -> None:
        """Queue a batch for publishing. Returns when everything before it is published."""
        await self._send.send((flight, results, None))

    async def put_gap(self, tenant: str, conversation: str, rev: int) -> None:
        """Queue a gap: something up to `rev` may have been committed that was not published."""
        with self.flight([]) as flight:
            await self._send.send((flight, [], (tenant, conversation, rev)))

    async def run(self) -> None:
        while True:
            await self._publish_batch(*await self._receive.receive())

    async def _publish_batch(self, flight: InFlight, results: list[Result], gap: Gap | None) -> None:
        try:
            for entry, result in results:
                await self._publish(entry, result)
            if gap is not None:
                await self._publish_gap(*gap)
        finally:
            self._flights.remove(flight)

    async def _publish(self, entry: Entry, result: Any) -> None:
        if entry.decided:
            await self._publish_too_late(entry, result)
            return
        entry.decided = True
        if isinstance(result, str | Refused):
            self._settle(entry, None, Refused(result) if isinstance(result, str) else result)
            return
        self.messages += isinstance(result, Appended) and not result.duplicate
        try:
            await entry.publish(result)
        except Exception:
            LOG.exception("a committed entry could not be published")
        self._settle(entry, result, None)

    async def _publish_too_late(self, entry: Entry, result: Any) -> None:
        """Publish `behind` to all members for an entry that was committed after its sender got `unavailable`."""
        if isinstance(result, Appended | Advanced) and result.rev is not None and not is_duplicate(result):
            await self._publish_gap(*entry.key, result.rev)

    async def _publish_gap(self, tenant: str, conversation: str, rev: int) -> None:
        try:
            await self._on_gap(tenant, conversation, rev)
        except Exception:
            LOG.exception("a gap could not be published", extra={"conversation": conversation})


def is_duplicate(result: Appended | Advanced) -> bool:
    return isinstance(result, Appended) and result.duplicate
