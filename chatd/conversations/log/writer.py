"""Group commit: many messages and receipts in one statement, told in the order in which they were numbered.

Whoever appends while a commit is on its way is in the next one; when the system is idle a batch is one entry. Each share
(a hash of the conversation) has its own connection, so that one conversation's entries never overtake each other.

Five promises, and how they are kept:

* Acked means committed: `tell` runs only after the statement has committed.
* One order: one task per share tells what was committed, in the order of `rev`, the sender's ack included; that is why the
  ack is written by `tell` and not by whoever waits in `append`.
* No silent gap: when nobody can say whether an entry was committed (its sender was told `unavailable`), whoever hears the
  conversation is told `behind` in the place of what it may have become.
* Exactly once visible: a batch whose connection broke half way is sent again. The message table knows the `client_id`, so
  what had been committed comes back under the id that was made here, and is told as what it is: new.
* One deadline: a sender waits `deadline` seconds and no longer, whatever the database does. A conversation whose row is locked
  is set aside (see `conversations/log/deferred.py`) and does not hold up the others of its share.

Telling goes on while the next batch commits, one batch ahead at most, so that a huge audience slows its share down instead
of filling the memory. An entry outlives the task that waits for it: a sender who hangs up cannot tear a hole.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, overload
from zlib import crc32

import outcome
import trio

from chatd.conversations.log.deferred import Aside
from chatd.conversations.log.entries import Advanced, Append, Appended, Entry, Item, Receipt, Tell
from chatd.conversations.log.publisher import OnGap, Telling
from chatd.conversations.log.statements import NESTED, Result, Statement, by_statement
from chatd.conversations.settings import JournalSettings
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.health import Health
from chatd.core.histogram import Histogram, total
from chatd.db.postgres import Connection, Postgres
from chatd.db.postgres_faults import Locked

LOG = log.get(__name__)
RETRY_AFTER = 0.2
# Between two looks for entries whose deadline has passed.
EXPIRY_TICK_S = 0.1
TOO_LATE = "the database did not answer in time"


class Journal:
    """The way in for everything that gets a number. Opened by `open_journal`."""

    def __init__(self, shares: list["Share"], settings: JournalSettings) -> None:
        self._shares = shares
        self._settings = settings

    @overload
    async def append(self, item: Append, tell: Tell, began: float) -> Appended: ...
    @overload
    async def append(self, item: Receipt, tell: Tell, began: float) -> Advanced: ...
    async def append(self, item: Item, tell: Tell, began: float) -> Any:
        """Commit one item, and `tell` it in its order; returns after both. `began`: since when its sender waits, in trio's time.

        Raises Refused: `not_found`, `conflict`, `rate_limited`, or `unavailable` at the deadline: then nobody knows whether it
        is committed, and it is not told.
        """
        if self.waiting >= self._settings.waiting:
            raise Refused("unavailable", "too many messages wait for the database", retry_after=1)
        ends_at = began + self._settings.deadline
        if ends_at <= trio.current_time():
            raise Refused("unavailable", TOO_LATE, retry_after=1)
        return await self._share(item.conversation).put(item, tell, ends_at).wait()

    def _share(self, conversation: str) -> "Share":
        return self._shares[crc32(conversation.encode()) % len(self._shares)]

    def began(self, tenant: str, conversation: str) -> float:
        """When the oldest commit began that may have numbered something of the conversation and is not told. Infinity: none."""
        return self._share(conversation).began(tenant, conversation)

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

    def __init__(self, connection: Connection, spare: Connection, batch: int, on_gap: OnGap) -> None:
        self._connection = connection
        self._batch = batch
        self._open: list[Entry] = []
        self._work = trio.Event()
        self._settled = trio.lowlevel.ParkingLot()
        # What is told to those who wait for too long.
        self._cause = TOO_LATE
        self._telling = Telling(on_gap, self._settle)
        self._aside = Aside(spare, self._telling)
        self.waiting = self.batches = self.entries = self.failures = 0
        self.commits = Histogram()

    @property
    def messages(self) -> int:
        """Those that were committed."""
        return self._telling.messages

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

    def began(self, tenant: str, conversation: str) -> float:
        """When the oldest commit began that may have numbered something of the conversation and is not told. Infinity: none."""
        key = (tenant, conversation)
        return min(self._telling.began(key), self._aside.began(key))

    async def run(self) -> None:
        """Commit batch after batch, and tell them in the same order."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._telling.run)
            nursery.start_soon(self._aside.run)
            nursery.start_soon(self._expire)
            while True:
                await self._work.wait()
                batch = self._take()
                if batch:
                    self.batches += 1
                    self.entries += len(batch)
                    for statement, entries in by_statement(batch):
                        await self._commit(statement, entries)

    def _take(self) -> list[Entry]:
        """The next batch, without those that are too late, and those whose conversation is set aside."""
        batch, self._open = self._open[: self._batch], self._open[self._batch :]
        if not self._open:
            self._work = trio.Event()
        if self._aside.keys:
            self._aside.put(entry for entry in batch if entry.key in self._aside.keys)
            batch = [entry for entry in batch if entry.key not in self._aside.keys]
        return [entry for entry in batch if entry.result is None]

    async def _commit(self, statement: Statement, entries: list[Entry]) -> None:
        """Until each of them is committed, refused, set aside or too late."""
        began = perf_counter()
        with self._telling.flight(entries) as flight:
            results = await self._attempt(statement, entries)
            self.commits.observe(perf_counter() - began)
            await self._telling.put(flight, results)

    async def _attempt(self, statement: Statement, entries: list[Entry]) -> list[Result]:
        """What is doubtful or cannot be committed together is set aside."""
        began = trio.current_time()
        again = False
        while entries:
            try:
                results = await statement(self._connection, entries)
            except Locked:
                self._aside.put(entries, began if again else None)
                return []
            except Refused as refused:
                again = True
                self.failures += 1
                self._cause = refused.message
                await trio.sleep(RETRY_AFTER)
                entries = self._aside.without_doubtful(entries, began)
            except Exception:
                self._aside.put(entries, began, alone=True)
                return []
            else:
                self._cause = TOO_LATE
                return self._aside.with_doubt(results) if again else results
        return []

    async def _expire(self) -> None:
        """For ever: who has waited for too long is told so, wherever the entry is."""
        while True:
            await trio.sleep(EXPIRY_TICK_S)
            now = trio.current_time()
            for entry in (*self._open, *self._telling.entries(), *self._aside.entries()):
                if entry.deadline <= now and not entry.decided:
                    self._settle(entry, outcome.Error(Refused("unavailable", self._cause, retry_after=1)))
            self._open = [entry for entry in self._open if entry.result is None]

    def _settle(self, entry: Entry, result: outcome.Outcome[Any]) -> None:
        entry.decided = True
        entry.settle(result)
        self.waiting -= 1
        if not self.waiting:
            self._settled.unpark_all()


@asynccontextmanager
async def open_journal(
    db: Postgres, settings: JournalSettings, on_gap: OnGap, health: Health | None = None
) -> AsyncIterator[Journal]:
    """The journal, with a connection of its own for each share. What was appended is settled before it closes.

    `on_gap(tenant, conversation, rev)`: something up to `rev` may be there that was not told.
    """
    shares = [
        Share(db.connection(f"journal-{number}", NESTED), db.connection(f"aside-{number}", NESTED), settings.batch, on_gap)
        for number in range(settings.flushers)
    ]
    journal = Journal(shares, settings)
    async with trio.open_nursery() as nursery:
        for number, share in enumerate(shares):
            (health or Health()).start(nursery, f"journal {number}", share.run)
        yield journal
        with trio.move_on_after(settings.deadline):
            await journal.flush()
        nursery.cancel_scope.cancel()
