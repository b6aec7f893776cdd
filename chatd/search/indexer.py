"""Writes committed messages to the search index, in the background.

Every conversation has a position: the rev up to which its messages are in the index. The revs of a conversation are
assigned under its row lock and committed in their order, so a read after a position has no gap, and nothing commits
before it later. Unlike a time or a sequence, the position misses nothing. Edits and deletions have a rev as well; a
trigger removes messages that are deleted permanently.

Messages are found in two ways. Messages that this node delivers are noted (`note`) and indexed moments later. In
addition, all nodes together sweep all conversations for those that are behind: after a crash, after a restore, and at
the beginning, when the index is empty. The position of the sweep is a row, so the sweep continues where it stopped.

Several nodes can index at once: a batch is read and tokenized without a lock, and written only if the position has not
changed since the read. Batches are small and use a connection of their own; after each one the indexer pauses for as
long as it worked.
"""

import time
from collections.abc import Iterable, Sequence
from itertools import islice

import trio
from msgspec import Struct
from msgspec.structs import astuple

from chatd.cluster.signals import EventSent
from chatd.conversations.events import MessageNew, MessageUpdate
from chatd.conversations.log.statements import NESTED
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.core.slices import Sliced
from chatd.core.turns import in_turns
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import ForeignKeyViolation, Postgres, Row, Tx
from chatd.search.facets import facets
from chatd.search.tokenizer import tokens_in_slices
from chatd.wire.connection_events import Behind

LOG = log.get(__name__)
SQL = queries.load("search/search_index")
# Entries that are lost together with their positions are written again: no need to wait for the disk. Without sorts,
# Postgres reads a conversation in the order of its index and stops at the limit; otherwise it would read all of a huge
# one, because most are small.
PRELUDE = f"{NESTED}; set enable_sort = off; set synchronous_commit = off; set statement_timeout = '60s'"
TIMEOUT_S = 60.0
MAX_NOTED = 50_000
# Seconds after that until a conversation that is not behind any more is forgotten.
FORGET_AFTER_S = 60.0
Place = tuple[str, str]


class IndexerTunables(Struct, frozen=True, kw_only=True):
    """Sizes and times of the indexer.

    `batch_conversations`: conversations of a batch; at most `batch_fresh` of them are noted ones. `batch_messages`:
    messages of a batch. `rest_ratio`: how long the indexer rests after a batch, in relation to its duration.

    `sweep_conversations`: conversations that the sweep examines in one step; `sweep_pause_s`: the time between two
    steps. `gather_s`: the time after an event until its message is indexed, together with those that follow in between.
    `retry_s`: the time until a conversation that could not be indexed is tried again.
    """

    batch_conversations: int = 50
    batch_fresh: int = 40
    batch_messages: int = 500
    rest_ratio: float = 1.0
    sweep_conversations: int = 1000
    sweep_pause_s: float = 1.0
    gather_s: float = 0.1
    retry_s: float = 5.0


TUNABLES = IndexerTunables()


class Entry(Struct, frozen=True):
    """A message for the index; without words, it is removed. Its fields are the columns of `put`."""

    tenant: str
    conversation: str
    created_at: int
    seq: int
    words: str | None


COLUMNS = len(Entry.__struct_fields__)


class Batch(Struct, frozen=True):
    """Entries to write. `moves`: the old and new position by conversation. `more`: conversations that may have further
    messages.
    """

    entries: list[Entry]
    moves: dict[Place, tuple[int, int]]
    more: list[Place]


class Indexer:
    """Writes the index in the background. `indexed` counts the examined messages."""

    def __init__(self, db: Postgres, tunables: IndexerTunables = TUNABLES) -> None:
        self.indexed = 0
        self._connection = db.connection("search", PRELUDE, TIMEOUT_S)
        self._tunables = tunables
        self._fresh: dict[Place, None] = {}
        self._behind: dict[Place, None] = {}
        # Conversations that could not be indexed, and from when they are tried again.
        self._failed: dict[Place, float] = {}
        self.condition = Condition("search index of a conversation")
        self._next_sweep_at = 0.0
        self._news = trio.Event()

    def note(self, signal: EventSent) -> None:
        """Note a conversation with a delivered, and so committed, message. The sweep finds those beyond the limit."""
        if isinstance(signal.event, MessageNew | MessageUpdate | Behind) and len(self._fresh) < MAX_NOTED:
            self._fresh[signal.tenant, signal.conversation] = None
            self._news.set()

    async def run(self) -> None:
        """Run forever. If the database is unavailable, try again later."""
        while True:
            try:
                busy = await self._step()
            except Refused:
                await trio.sleep(self._tunables.sweep_pause_s)
                continue
            if not busy:
                await self._idle()

    async def _idle(self) -> None:
        with trio.move_on_after(self._tunables.sweep_pause_s):
            await self._news.wait()
            await trio.sleep(self._tunables.gather_s)
        self._news = trio.Event()

    async def _step(self) -> bool:
        """Index a batch, then pause; once a second sweep a step. Returns whether there was work. Raises Refused."""
        if not self._behind and trio.current_time() >= self._next_sweep_at:
            self._next_sweep_at = trio.current_time() + self._tunables.sweep_pause_s
            await self._find_unindexed()
        if not self._fresh and not self._behind:
            self._forget_failed(trio.current_time() - FORGET_AFTER_S)
            return False
        began = time.perf_counter()
        await self.next_batch()
        await trio.sleep((time.perf_counter() - began) * self._tunables.rest_ratio)
        return True

    async def catch_up(self) -> None:
        """Sweep everything without a pause, for tests and benchmarks. Raises Refused."""
        await self._connection.run(SQL.restart_scan)
        while True:
            await self._find_unindexed()
            while self._fresh or self._behind:
                await self.next_batch()
            if await self._connection.value(SQL.is_scan_at_start):
                return

    async def _find_unindexed(self) -> None:
        for row in await self._connection.all(SQL.next_unindexed, self._tunables.sweep_conversations):
            self._behind[row["tenant"], row["conversation"]] = None

    async def next_batch(self) -> None:
        """The next batch. The rest of a conversation waits until others had their turn.

        Raises Refused; then it is tried again.
        """
        fresh = list(islice(self._fresh, self._tunables.batch_fresh))
        others = islice(self._behind, self._tunables.batch_conversations - len(fresh))
        places = list(dict.fromkeys([*fresh, *others]))
        for place in places:
            self._fresh.pop(place, None)
            self._behind.pop(place, None)
        now = trio.current_time()
        places = [place for place in places if self._failed.get(place, now) <= now]
        try:
            await self._index(places)
        except Refused:
            self._behind.update(dict.fromkeys(places))
            raise
        except Exception:
            await self._index_each(places)
        self._forget_failed(now - FORGET_AFTER_S)

    def _forget_failed(self, before: float) -> None:
        """Forget failed conversations that the sweep no longer finds behind: deleted, or indexed by another node."""
        self._failed = {place: until for place, until in self._failed.items() if until > before}
        if not self._failed:
            self.condition.recover()

    async def _index_each(self, places: Sequence[Place]) -> None:
        """Index one conversation at a time: one that cannot be indexed does not block the others, and is tried again
        later.
        """
        for number, place in enumerate(places):
            try:
                await self._index([place])
            except Refused:
                self._behind.update(dict.fromkeys(places[number:]))
                raise
            except Exception as error:
                self._failed[place] = trio.current_time() + self._tunables.retry_s
                self.condition.fail(error, tenant=place[0], conversation=place[1])

    async def _index(self, places: Sequence[Place]) -> None:
        if not places:
            return
        batch = await batch_of(await self._read(places), self._tunables.batch_messages // len(places))
        try:
            await self._write(batch)
        except ForeignKeyViolation:
            # A conversation that was deleted since the read.
            LOG.info("a batch of the search index was postponed")
            return
        for place in places:
            self._failed.pop(place, None)
        self.indexed += len(batch.entries)
        self._behind.update(dict.fromkeys(batch.more))

    async def _read(self, places: Sequence[Place]) -> Sequence[Row]:
        return await self._connection.all(
            SQL.unindexed_changes, *to_unnest_arrays(places, 2), self._tunables.batch_messages // len(places)
        )

    async def _write(self, batch: Batch) -> None:
        if batch.moves:
            await self._connection.in_transaction(write, batch)


async def batch_of(rows: Iterable[Row], limit: int) -> Batch:
    """Make a batch of rows of `unindexed_changes`, in the order of rev within each conversation.

    Other tasks run between two messages.
    """
    batch, count = Batch([], {}, []), dict[Place, int]()
    for row in rows:
        place = (row["tenant"], row["conversation"])
        batch.entries.append(await in_turns(entry_of(row)))
        batch.moves[place] = (row["position"], row["rev"])
        count[place] = count.get(place, 0) + 1
        await trio.lowlevel.checkpoint()
    batch.more.extend(place for place, found in count.items() if found >= limit)
    return batch


def entry_of(row: Row) -> Sliced[Entry]:
    words = " ".join((yield from lexemes_of(row))) if row["is_searchable"] else None
    return Entry(row["tenant"], row["conversation"], row["created_at"], row["seq"], words)


def lexemes_of(row: Row) -> Sliced[list[str]]:
    known = facets(row["conversation"], row["sender"], row["created_at"], row["text"], row["attachments"])
    return known + (yield from tokens_in_slices(row["text"] or ""))


async def write(tx: Tx, batch: Batch) -> None:
    """Write a batch. Conversations that another node has indexed, or is indexing, are skipped."""
    added = [place for place, (before, _) in batch.moves.items() if before == 0]
    if added:
        await tx.run(SQL.insert_positions, *to_unnest_arrays(added, 2))
    befores = [before for before, _ in batch.moves.values()]
    taken = await tx.all(SQL.lock_positions, *to_unnest_arrays(batch.moves, 2), befores)
    ours = {(row["tenant"], row["conversation"]) for row in taken}
    entries = [entry for entry in batch.entries if (entry.tenant, entry.conversation) in ours]
    gone = [entry for entry in entries if entry.words is None]
    with_words = [entry for entry in entries if entry.words is not None]
    if gone:
        await tx.run(SQL.delete_entries, *to_unnest_arrays(map(astuple, gone), COLUMNS)[:-1])
    if with_words:
        await tx.run(SQL.put_entries, *to_unnest_arrays(map(astuple, with_words), COLUMNS))
    places = list(ours)
    if places:
        await tx.run(SQL.save_positions, *to_unnest_arrays(places, 2), [batch.moves[place][1] for place in places])
