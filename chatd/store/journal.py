"""Group commit: many messages and receipts in one statement, told in the order in which they were numbered.

Whoever appends while a commit is on its way is in the next one; when the system is idle a batch is one entry. Each share
(a hash of the conversation) has its own connection, so that one conversation's entries never overtake each other.

Four promises, and how they are kept:

* Acked means committed: `tell` runs only after the statement has committed.
* One order: one task per share tells what was committed, in the order of `rev`, the sender's ack included; that is why the
  ack is written by `tell` and not by whoever waits in `append`.
* No silent gap: when nobody can say whether an entry was committed (its sender was told `unavailable`), whoever hears the
  conversation is told `behind` before anything later of it.
* Exactly once visible: a batch whose connection broke half way is sent again. The message table knows the `client_id`, so
  what had been committed comes back under the id that was made here, and is told as what it is: new.

Telling goes on while the next batch commits, one batch ahead at most, so that a huge audience slows its share down instead
of filling the memory. An entry outlives the task that waits for it: a sender who hangs up cannot tear a hole.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, overload
from zlib import crc32

import outcome
import trio
from msgspec.structs import replace

from chatd import log
from chatd.config import Journal as Settings
from chatd.domain.histogram import Histogram, total
from chatd.errors import Refused
from chatd.health import Health
from chatd.store.entries import Advanced, Append, Appended, Entry, Item, Receipt, Tell
from chatd.store.postgres import Connection, Postgres, Row
from chatd.store.statements import NESTED, SQL, Result, advance_receipts, append_messages, split

LOG = log.get(__name__)
RETRY_AFTER = 0.2
Gap = tuple[str, str, int]
Telling = tuple[list[Gap], list[Result]]
OnGap = Callable[[str, str, int], Awaitable[None]]
Statement = Callable[[Connection, Sequence[Entry]], Awaitable[list[Result]]]


class Journal:
    """The way in for everything that gets a number. Opened by `open_journal`."""

    def __init__(self, shares: list["Share"], settings: Settings) -> None:
        self._shares = shares
        self._settings = settings

    @overload
    async def append(self, item: Append, tell: Tell) -> Appended: ...
    @overload
    async def append(self, item: Receipt, tell: Tell) -> Advanced: ...
    async def append(self, item: Item, tell: Tell) -> Any:
        """Commit one item, and `tell` it in its order; returns after both.

        Raises Refused: `not_found`, `conflict`, `rate_limited`, or `unavailable` after the deadline, when nothing is known
        to be committed.
        """
        if self.waiting >= self._settings.waiting:
            raise Refused("unavailable", "too many messages wait for the database", retry_after=1)
        share = self._shares[crc32(item.conversation.encode()) % len(self._shares)]
        entry = share.put(item, tell, trio.current_time() + self._settings.deadline)
        return await entry.wait()

    @property
    def waiting(self) -> int:
        """Entries that are not settled yet."""
        return sum(share.waiting for share in self._shares)

    async def flush(self) -> None:
        """Wait until nothing is on its way."""
        for share in self._shares:
            await share.settled()

    @property
    def commits(self) -> Histogram:
        """How long it took to commit a batch, all attempts together."""
        return total(share.commits for share in self._shares)

    def statistics(self) -> dict[str, int]:
        keys = ("batches", "entries", "messages", "failures")
        return {key: sum(getattr(share, key) for share in self._shares) for key in keys} | {"waiting": self.waiting}


class Share:
    """The conversations of one connection: an open batch, a commit on its way, and one batch being told."""

    def __init__(self, connection: Connection, batch: int, on_gap: OnGap) -> None:
        self._connection = connection
        self._batch = batch
        self._on_gap = on_gap
        self._doubtful: set[tuple[str, str]] = set()
        self._open: list[Entry] = []
        self._work = trio.Event()
        self._settled = trio.lowlevel.ParkingLot()
        self.waiting = self.batches = self.entries = self.messages = self.failures = 0
        self.commits = Histogram()

    def put(self, item: Item, tell: Tell, deadline: float) -> Entry:
        """Into the open batch."""
        entry = Entry(item, tell, deadline)
        self._open.append(entry)
        self.waiting += 1
        self._work.set()
        return entry

    async def settled(self) -> None:
        if self.waiting:
            await self._settled.park()

    async def run(self) -> None:
        """Commit batch after batch, and tell them in the same order."""
        committed, to_tell = trio.open_memory_channel[Telling](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_all, to_tell)
            while True:
                await self._work.wait()
                began = perf_counter()
                results = await self._commit(self._take())
                self.commits.observe(perf_counter() - began)
                await committed.send((await self._gaps(), results))

    def _take(self) -> list[Entry]:
        """The next batch."""
        batch, self._open = self._open[: self._batch], self._open[self._batch :]
        if not self._open:
            self._work = trio.Event()
        return batch

    async def _gaps(self) -> list[Gap]:
        """The conversations of which something may have been committed that nobody was told. Nothing later goes before it."""
        rows: Sequence[Row] = []
        while self._doubtful:
            tenants, ids = zip(*self._doubtful, strict=True)
            try:
                rows = await self._connection.call(SQL.revs, tenants, ids)
                self._doubtful.clear()
            except Refused as refused:
                self._without_expired([], refused)
                await trio.sleep(RETRY_AFTER)
            except Exception:
                # It is asked again after the next batch; until then a gap is found by the numbers of what comes later.
                LOG.exception("the ends of conversations in doubt could not be read")
                return []
        return [(row["tenant"], row["id"], row["rev"]) for row in rows]

    async def _commit(self, batch: list[Entry]) -> list[Result]:
        """Until every entry of the batch is committed or refused."""
        messages, receipts = split(batch)
        self.batches += 1
        self.entries += len(batch)
        return await self._attempt(append_messages, messages) + await self._attempt(advance_receipts, receipts)

    async def _attempt(self, statement: Statement, entries: list[Entry]) -> list[Result]:
        again = False
        while entries:
            try:
                results = await statement(self._connection, entries)
                return self._with_doubt(results) if again else results
            except Refused as refused:
                again = True
                self.failures += 1
                entries = self._without_expired(entries, refused)
                await trio.sleep(RETRY_AFTER)
            except Exception:
                return await self._one_by_one(statement, entries)
        return []

    def _with_doubt(self, results: list[Result]) -> list[Result]:
        """Sent once more: a receipt that moves nothing now may have moved something the first time, which nobody was told."""
        items = [entry.item for entry, result in results if isinstance(result, Advanced) and result.rev is None]
        self._doubtful |= {(item.tenant, item.conversation) for item in items}
        return [(entry, replace(result, doubtful=True) if isinstance(result, Advanced) else result) for entry, result in results]

    def _without_expired(self, entries: list[Entry], refused: Refused) -> list[Entry]:
        """Postgres is away: those who have waited long enough are told so, here and in the open batch."""
        now = trio.current_time()
        self._doubtful |= {(entry.item.tenant, entry.item.conversation) for entry in entries if entry.deadline <= now}
        for entry in [*entries, *self._open]:
            if entry.deadline <= now:
                self._settle(entry, outcome.Error(Refused("unavailable", refused.message, retry_after=1)))
        self._open = [entry for entry in self._open if entry.result is None]
        return [entry for entry in entries if entry.result is None]

    async def _one_by_one(self, statement: Statement, entries: list[Entry]) -> list[Result]:
        """One bad row fails alone."""
        if len(entries) > 1:
            return [result for entry in entries for result in await self._attempt(statement, [entry])]
        LOG.exception("an entry of the journal could not be committed")
        self._settle(entries[0], outcome.Error(Refused("internal")))
        return []

    async def _tell_all(self, batches: trio.MemoryReceiveChannel[Telling]) -> None:
        async for gaps, results in batches:
            for gap in gaps:
                try:
                    await self._on_gap(*gap)
                except Exception:
                    LOG.exception("a gap could not be told", extra={"conversation": gap[1]})
            for entry, result in results:
                await self._tell(entry, result)

    async def _tell(self, entry: Entry, result: Any) -> None:
        if isinstance(result, str | Refused):
            self._settle(entry, outcome.Error(Refused(result) if isinstance(result, str) else result))
            return
        self.messages += isinstance(result, Appended) and not result.duplicate
        try:
            await entry.tell(result)
        except Exception:
            LOG.exception("a committed entry could not be told")
        self._settle(entry, outcome.Value(result))

    def _settle(self, entry: Entry, result: outcome.Outcome[Any]) -> None:
        entry.settle(result)
        self.waiting -= 1
        if not self.waiting:
            self._settled.unpark_all()


@asynccontextmanager
async def open_journal(db: Postgres, settings: Settings, on_gap: OnGap, health: Health | None = None) -> AsyncIterator[Journal]:
    """The journal, with a connection of its own for each share. What was appended is settled before it closes.

    `on_gap(tenant, conversation, rev)`: something up to `rev` may be there that was not told.
    """
    connections = [db.connection(f"journal-{number}", NESTED) for number in range(settings.flushers)]
    shares = [Share(connection, settings.batch, on_gap) for connection in connections]
    journal = Journal(shares, settings)
    async with trio.open_nursery() as nursery:
        for number, share in enumerate(shares):
            (health or Health()).start(nursery, f"journal {number}", share.run)
        yield journal
        with trio.move_on_after(settings.deadline):
            await journal.flush()
        nursery.cancel_scope.cancel()
