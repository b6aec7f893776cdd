"""Writes committed messages to the search index, in the background.

Every conversation has a position: the rev up to which its messages are in the index. The revs of a conversation are
assigned under its row lock and committed in their order, so a read after a position has no gap, and nothing commits
before it later. Unlike a time or a sequence, the position misses nothing. Edits and deletions have a rev as well; a
trigger removes messages that are deleted permanently.

Messages are found in two ways. Nodes announce the conversations to which they have sent messages
(`search/notices.py`), and these are indexed moments later. In addition, a sweep looks for conversations that are
behind: after a crash, after a restore, and at the beginning, when the index is empty. The position of the sweep is a
row, so the sweep continues where it stopped. When announcements may have been lost, it goes through all conversations
at once.

One indexer is active at a time: the one whose session has an advisory lock. The others stand by and take over when its
session ends. Correctness does not depend on the lock: a batch is read and tokenized without a lock on rows, and written
only if the position has not changed since the read.

After each batch the indexer rests for some time in relation to the duration of the batch: the longer the oldest change
has waited, the shorter. So it leaves the database to the message log when messages come in bursts, and still catches up
when they keep coming.
"""

import time
from collections.abc import Iterable, Mapping, Sequence

import trio
from msgspec import Struct
from msgspec.structs import astuple

from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.core.turns import each_in_turns, in_turns
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import ForeignKeyViolation, Listener, Postgres, Row, Tx
from chatd.search.backlog import Backlog, Place, Waiting
from chatd.search.facets import facets
from chatd.search.notifications import CHANNEL, parse
from chatd.search.tokenizer import ascii_tokens, tokens_in_slices

LOG = log.get(__name__)
SQL = queries.load("search/search_index")
# One plan through indexes, whatever the statistics of the tables were when it was made. Without sorts, Postgres reads a
# conversation in the order of its index and stops at the limit; otherwise it would read all of a huge one, because most
# are small. Entries that are lost together with their positions are written again: no need to wait for the disk.
PRELUDE = (
    "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_hashjoin = off; "
    "set enable_mergejoin = off; set enable_sort = off; set lock_timeout = 250; set synchronous_commit = off; "
    "set statement_timeout = '60s'"
)
TIMEOUT_S = 60.0
# Seconds after that until a conversation that is not behind any more is forgotten.
FORGET_AFTER_S = 60.0
MAX_PROBLEM_CHARS = 200


class IndexerTunables(Struct, frozen=True, kw_only=True):
    """`batch_conversations`: conversations of a batch; at most `batch_fresh` of them are announced ones.
    `batch_messages`: messages of a batch. `rest_ratio`: how long the indexer rests after a batch, in relation to its
    duration, if nothing waits; it does not rest when a change has waited for `full_speed_age_s`.

    `sweep_conversations`: conversations that the sweep examines in one step; `sweep_pause_s`: the time between two
    steps. `gather_s`: the time after an announcement until it is handled, together with those of other nodes.
    `report_s`: the time between two reports. `standby_s`: how often an indexer that stands by tries to become active.
    `retry_s`: the time until a conversation that could not be indexed is tried again.
    """

    batch_conversations: int = 200
    batch_fresh: int = 160
    batch_messages: int = 1000
    rest_ratio: float = 3.0
    full_speed_age_s: float = 20.0
    sweep_conversations: int = 1000
    sweep_pause_s: float = 1.0
    gather_s: float = 0.05
    report_s: float = 1.0
    standby_s: float = 1.0
    retry_s: float = 5.0

    def rest_s(self, duration_s: float, age_s: float) -> float:
        """How long to rest after a batch, if the oldest change has waited for `age_s`."""
        return duration_s * self.rest_ratio * max(0.0, 1.0 - age_s / self.full_speed_age_s)


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
    """`moves`: the old and new position by conversation. `more`: conversations that may have further messages, with the
    number of those in the batch.
    """

    entries: list[Entry]
    moves: dict[Place, tuple[int, int]]
    more: dict[Place, int]


class Indexer:
    """Writes the index in the background. `indexed` counts the examined messages."""

    def __init__(self, db: Postgres, tunables: IndexerTunables = TUNABLES) -> None:
        self.indexed = 0
        self.backlog = Backlog()
        self.condition = Condition("search index of a conversation")
        listener = Listener(CHANNEL, self._receive, self._forget_lock)
        self._connection = db.connection("search", PRELUDE, TIMEOUT_S, listener)
        self._tunables = tunables
        # Conversations that could not be indexed, and from when they are tried again.
        self._failed: dict[Place, float] = {}
        self._is_active = False
        self._next_report_at = 0.0
        self._next_sweep_at = 0.0
        # The sweep goes through all conversations, because announcements may have been lost.
        self._sweeps_all = False
        self._news = trio.Event()

    def _receive(self, payload: str) -> None:
        """Note announced conversations."""
        if self._is_active:
            for place, changes in parse(payload):
                self.backlog.note(place, changes)
            self._news.set()

    def _forget_lock(self) -> None:
        """Report, and ask for the lock, before the next batch: the session that had it has ended."""
        self._is_active, self._next_report_at = False, 0.0

    async def run(self) -> None:
        """Run forever. If the database is unavailable, try again later."""
        while True:
            try:
                if not await self._becomes_active():
                    await trio.sleep(self._tunables.standby_s)
                    continue
                busy = await self._step()
            except Refused:
                await trio.sleep(self._tunables.sweep_pause_s)
                continue
            if not busy:
                await self._idle()

    async def _becomes_active(self) -> bool:
        """Report the state of the index, if that is due. Returns whether this indexer is the active one.

        Raises Refused.
        """
        if trio.current_time() < self._next_report_at:
            return self._is_active
        backlog, problem = self.backlog, self.condition.cause[:MAX_PROBLEM_CHARS]
        row = await self._connection.value(SQL.report, int(backlog.age_s * 1000), backlog.changes, problem)
        self._next_report_at = trio.current_time() + self._tunables.report_s
        if row is not None and not self._is_active:
            self._is_active = True
            await self._begin_sweep()
            LOG.info("this process writes the search index")
        elif row is None:
            self._is_active = False
        return self._is_active

    async def _begin_sweep(self) -> None:
        await self._connection.run(SQL.restart_scan)
        self._sweeps_all, self._next_sweep_at, self.backlog.overflowed = True, 0.0, False

    async def _idle(self) -> None:
        """Wait for announcements, at most until the next report or the next step of the sweep."""
        with trio.move_on_after(min(self._tunables.sweep_pause_s, self._tunables.report_s)) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._connection.read_notifications)
                await self._news.wait()
                scope.deadline = trio.current_time() + self._tunables.gather_s
                await trio.sleep_forever()
        self._news = trio.Event()

    async def _step(self) -> bool:
        """Sweep a step if it is due, index a batch, then rest. Returns whether there was work. Raises Refused."""
        began = time.perf_counter()
        if not self.backlog.has_found and trio.current_time() >= self._next_sweep_at:
            await self._sweep()
        if not self.backlog and not self._sweeps_all:
            self._forget_failed(trio.current_time() - FORGET_AFTER_S)
            return False
        if self.backlog:
            await self.next_batch()
        await trio.sleep(self._tunables.rest_s(time.perf_counter() - began, self.backlog.age_s))
        return True

    async def _sweep(self) -> None:
        if self.backlog.overflowed:
            await self._begin_sweep()
        await self._find_unindexed()
        if self._sweeps_all:
            self._sweeps_all = not await self._connection.value(SQL.is_scan_at_start)
        self._next_sweep_at = 0.0 if self._sweeps_all else trio.current_time() + self._tunables.sweep_pause_s

    async def catch_up(self) -> None:
        """Sweep everything without a pause, for tests and benchmarks. Raises Refused."""
        await self._connection.run(SQL.restart_scan)
        while True:
            await self._find_unindexed()
            while self.backlog:
                await self.next_batch()
            if await self._connection.value(SQL.is_scan_at_start):
                return

    async def _find_unindexed(self) -> None:
        for row in await self._connection.all(SQL.next_unindexed, self._tunables.sweep_conversations):
            self.backlog.add_found((row["tenant"], row["conversation"]), row["changes"])

    async def next_batch(self) -> None:
        """The next batch. The rest of a conversation waits until others had their turn.

        Raises Refused; then it is tried again.
        """
        taken = self.backlog.take(self._tunables.batch_fresh, self._tunables.batch_conversations)
        now = trio.current_time()
        due = {place: waiting for place, waiting in taken.items() if self._failed.get(place, now) <= now}
        try:
            await self._index(due)
        except Refused:
            self.backlog.put_back(due.items())
            raise
        except Exception:
            await self._index_each(due)
        self._forget_failed(now - FORGET_AFTER_S)

    def _forget_failed(self, before: float) -> None:
        """Forget failed conversations that the sweep no longer finds behind: deleted, or indexed by another process."""
        self._failed = {place: until for place, until in self._failed.items() if until > before}
        if not self._failed:
            self.condition.recover()

    async def _index_each(self, due: Mapping[Place, Waiting]) -> None:
        """Index one conversation at a time: one that cannot be indexed does not block the others, and is tried again
        later.
        """
        left = dict(due)
        for place, waiting in due.items():
            try:
                await self._index({place: waiting})
            except Refused:
                self.backlog.put_back(left.items())
                raise
            except Exception as error:
                self._failed[place] = trio.current_time() + self._tunables.retry_s
                self.condition.fail(error, tenant=place[0], conversation=place[1])
            del left[place]

    async def _index(self, due: Mapping[Place, Waiting]) -> None:
        if not due:
            return
        batch = await batch_of(await self._read(list(due)), self._tunables.batch_messages // len(due))
        try:
            await self._write(batch)
        except ForeignKeyViolation:
            # A conversation that was deleted since the read.
            LOG.info("a batch of the search index was postponed")
            return
        for place in due:
            self._failed.pop(place, None)
        self.indexed += len(batch.entries)
        self.backlog.put_back((place, due[place].after(count)) for place, count in batch.more.items())

    async def _read(self, places: Sequence[Place]) -> Sequence[Row]:
        return await self._connection.all(
            SQL.unindexed_changes, *to_unnest_arrays(places, 2), self._tunables.batch_messages // len(places)
        )

    async def _write(self, batch: Batch) -> None:
        if batch.moves:
            await self._connection.in_transaction(write, batch)
            await self._connection.run(SQL.merge_entries)


async def batch_of(rows: Iterable[Row], limit: int) -> Batch:
    """Make a batch of rows of `unindexed_changes`, in the order of rev within each conversation.

    Other tasks run between two turns (`core/turns.py`).
    """
    batch, count = Batch([], {}, {}), dict[Place, int]()
    async for row in each_in_turns(rows):
        place = (row["tenant"], row["conversation"])
        batch.entries.append(await entry_of(row))
        batch.moves[place] = (row["position"], row["rev"])
        count[place] = count.get(place, 0) + 1
    batch.more.update((place, found) for place, found in count.items() if found >= limit)
    return batch


async def entry_of(row: Row) -> Entry:
    words = await words_of(row) if row["is_searchable"] else None
    return Entry(row["tenant"], row["conversation"], row["created_at"], row["seq"], words)


async def words_of(row: Row) -> str:
    """The lexemes of a message, separated by spaces."""
    text = row["text"] or ""
    known = facets(row["conversation"], row["sender"], row["created_at"], text, row["attachments"])
    words = ascii_tokens(text)
    if words is None:
        words = await in_turns(tokens_in_slices(text))
    return " ".join(known + words)


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
