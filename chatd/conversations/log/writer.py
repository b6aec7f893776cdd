"""The log of messages: group commit of many messages and receipts in one statement, published in the order of their
numbers.

Entries that are appended during a commit are part of the next one; on an idle system a batch is one entry. Each shard
(a hash of the conversation) has its own connection, so that entries of one conversation never overtake each other.

Five promises, and how they are kept:

* Acknowledged means committed: `publish` runs only after the statement has committed.
* One order: one task per shard publishes what was committed, in the order of `rev`. The ack of the sender is a part of
  it, and is therefore not written by what waits for the entry.
* No silent gap: when the outcome of a commit is unknown (its sender got `unavailable`), the members get `behind` in the
  place of what may have been committed.
* Visible exactly once: a batch whose connection broke is sent again. The message table contains the `client_id`: what
  had been committed comes back under the id that this node made, and is published as new.
* One deadline: a sender waits `deadline` seconds, whatever the database does. A conversation whose row is locked is
  deferred (see `conversations/log/deferred.py`) and does not delay the others of its shard.

Publishing continues while the next batch commits, at most one batch ahead: a huge audience slows its shard down instead
of filling the memory. An entry outlives what waits for it: a sender that disconnects does not remove it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any
from zlib import crc32

import trio

from chatd.conversations.log.deferred import DeferredConversations
from chatd.conversations.log.entries import Entry, Item, Publish
from chatd.conversations.log.publisher import OnGap, Publisher
from chatd.conversations.log.statements import NESTED, Result, Statement, by_statement
from chatd.conversations.settings import MessageLogSettings
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.health import Health
from chatd.core.histogram import Histogram, total
from chatd.core.settlement import Settled
from chatd.db.postgres import Connection, Postgres
from chatd.db.postgres_faults import Locked

LOG = log.get(__name__)
RETRY_S = 0.2
# How often the deadlines of entries are checked.
EXPIRY_TICK_S = 0.1
TOO_LATE = "the database did not answer in time"


class MessageLog:
    """Everything that gets a number in a conversation is appended here. Opened by `open_message_log`."""

    def __init__(self, shards: list["Shard"], settings: MessageLogSettings) -> None:
        self._shards = shards
        self._settings = settings
        # From the receipt of a message to its delivery on this node; and the characters of the texts, all together.
        self.deliveries = Histogram()
        self.characters = 0

    def append(self, item: Item, publish: Publish, began: float, settled: Settled) -> None:
        """Commit one item, and publish it in its order; then call `settled` with Appended or Advanced. `began`: the
        time since which its sender waits, in trio's time.

        Raises Refused: `unavailable`. `settled` may get Refused instead: `not_found`, `conflict`, `blocked`,
        `forbidden`, `rate_limited`; or `unavailable` at the deadline: then it is unknown whether the item is committed,
        and it is not published.
        """
        if self.waiting >= self._settings.waiting:
            raise Refused("unavailable", "too many messages are waiting for the database", retry_after=1)
        ends_at = began + self._settings.deadline
        if ends_at <= trio.current_time():
            raise Refused("unavailable", TOO_LATE, retry_after=1)
        self._shard(item.conversation).put(item, publish, ends_at, settled)

    def note_sent(self, text: str | None, seconds: float) -> None:
        """Note that a message was delivered here, this long after it was received."""
        self.deliveries.observe(seconds)
        self.characters += len(text or "")

    def _shard(self, conversation: str) -> "Shard":
        return self._shards[crc32(conversation.encode()) % len(self._shards)]

    def began(self, tenant: str, conversation: str) -> float:
        """The time at which the oldest unpublished commit began that may have numbered something in the conversation;
        infinity if there is none.
        """
        return self._shard(conversation).began(tenant, conversation)

    @property
    def waiting(self) -> int:
        """Entries that are not settled yet."""
        return sum(shard.waiting for shard in self._shards)

    async def flush(self) -> None:
        """Wait until all entries are settled."""
        for shard in self._shards:
            await shard.wait_until_settled()

    @property
    def commits(self) -> Histogram:
        """The time to commit a batch, with all attempts."""
        return total(shard.commits for shard in self._shards)

    def statistics(self) -> dict[str, int]:
        keys = ("batches", "entries", "messages", "failures")
        return {key: sum(getattr(shard, key) for shard in self._shards) for key in keys} | {"waiting": self.waiting}


class Shard:
    """The conversations of one connection: an open batch, a batch that is committed, and one that is published."""

    def __init__(self, connection: Connection, spare: Connection, batch: int, on_gap: OnGap) -> None:
        self._connection = connection
        self._batch = batch
        self._open: list[Entry] = []
        self._work = trio.Event()
        self._all_settled = trio.lowlevel.ParkingLot()
        # The message of the refusal at the deadline.
        self._cause = TOO_LATE
        self._publisher = Publisher(on_gap, self._settle)
        self._deferred = DeferredConversations(spare, self._publisher)
        self.waiting = self.batches = self.entries = self.failures = 0
        self.commits = Histogram()

    @property
    def messages(self) -> int:
        """Messages that were committed."""
        return self._publisher.messages

    def put(self, item: Item, publish: Publish, deadline: float, settled: Settled) -> None:
        """Add an entry to the open batch."""
        self._open.append(Entry(item, publish, deadline, settled))
        self.waiting += 1
        self._work.set()

    async def wait_until_settled(self) -> None:
        if self.waiting:
            await self._all_settled.park()

    def began(self, tenant: str, conversation: str) -> float:
        """See `MessageLog.began`."""
        key = (tenant, conversation)
        return min(self._publisher.began(key), self._deferred.began(key))

    async def run(self) -> None:
        """Commit batch after batch, and publish them in the same order."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._publisher.run)
            nursery.start_soon(self._deferred.run)
            nursery.start_soon(self._expire)
            while True:
                await self._work.wait()
                await self._commit_next_batch()

    async def _commit_next_batch(self) -> None:
        """A function of its own, so that nothing refers to the batch and its senders while the shard waits."""
        batch = self._next_batch()
        if batch:
            self.batches += 1
            self.entries += len(batch)
            for statement, entries in by_statement(batch):
                await self._commit(statement, entries)

    def _next_batch(self) -> list[Entry]:
        """The next batch, without expired entries, and without those whose conversation is deferred."""
        batch, self._open = self._open[: self._batch], self._open[self._batch :]
        if not self._open:
            self._work = trio.Event()
        if self._deferred.keys:
            self._deferred.put(entry for entry in batch if entry.key in self._deferred.keys)
            batch = [entry for entry in batch if entry.key not in self._deferred.keys]
        return [entry for entry in batch if not entry.is_settled]

    async def _commit(self, statement: Statement, entries: list[Entry]) -> None:
        """Retry until each entry is committed, refused, deferred or expired."""
        began = perf_counter()
        with self._publisher.flight(entries) as flight:
            results = await self._attempt(statement, entries)
            self.commits.observe(perf_counter() - began)
            await self._publisher.put(flight, results)

    async def _attempt(self, statement: Statement, entries: list[Entry]) -> list[Result]:
        """Try to commit the entries. Those that cannot be committed together, or that are uncertain, are deferred."""
        began = trio.current_time()
        retried = False
        while entries:
            try:
                results = await statement(self._connection, entries)
            except Locked:
                self._deferred.put(entries, began if retried else None)
                return []
            except Refused as refused:
                retried = True
                self.failures += 1
                self._cause = refused.message
                await trio.sleep(RETRY_S)
                entries = self._deferred.defer_uncertain(entries, began)
            except Exception:
                self._deferred.put(entries, began, one_by_one=True)
                return []
            else:
                self._cause = TOO_LATE
                return self._deferred.mark_uncertain(results) if retried else results
        return []

    async def _expire(self) -> None:
        """Refuse entries at their deadline, wherever they are."""
        while True:
            await trio.sleep(EXPIRY_TICK_S)
            self._refuse_expired(trio.current_time())

    def _refuse_expired(self, now: float) -> None:
        # In the order in which the entries of a conversation were appended.
        for entry in (*self._publisher.entries(), *self._deferred.entries(), *self._open):
            if entry.deadline <= now and not entry.decided:
                self._settle(entry, None, Refused("unavailable", self._cause, retry_after=1))
        self._open = [entry for entry in self._open if not entry.is_settled]

    def _settle(self, entry: Entry, result: Any, error: Exception | None) -> None:
        entry.decided = True
        self.waiting -= 1
        try:
            entry.settle(result, error)
        except Exception:
            LOG.exception("the sender of an entry could not be informed")
        if not self.waiting:
            self._all_settled.unpark_all()


@asynccontextmanager
async def open_message_log(
    db: Postgres, settings: MessageLogSettings, on_gap: OnGap, health: Health | None = None
) -> AsyncIterator[MessageLog]:
    """The log, with a connection of its own for each shard. It settles its entries before it closes.

    `on_gap(tenant, conversation, rev)`: something up to `rev` may have been committed and was not published.
    """
    shards = [
        Shard(
            db.connection(f"message-log-{number}", NESTED),
            db.connection(f"deferred-{number}", NESTED),
            settings.batch,
            on_gap,
        )
        for number in range(settings.flushers)
    ]
    message_log = MessageLog(shards, settings)
    async with trio.open_nursery() as nursery:
        for number, shard in enumerate(shards):
            (health or Health()).start(nursery, f"message log {number}", shard.run)
        yield message_log
        with trio.move_on_after(settings.deadline):
            await message_log.flush()
        nursery.cancel_scope.cancel()
