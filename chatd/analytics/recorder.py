"""Records what happens on this node, and writes it to Postgres every few seconds.

Nothing is read or written when it happens: signals change counters in memory. What is written adds to the figures of
the day, so nodes do not depend on each other. A crash loses what was not written yet; while Postgres is unavailable,
the counters wait.
"""

import heapq
from collections.abc import Iterable
from typing import Any

import trio
from msgspec import Struct

from chatd.analytics.days import day_of
from chatd.app.context import Node
from chatd.conversations.signals import MessageSent
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.identity import UserKey
from chatd.core.ids import made_at
from chatd.core.turns import each_in_turns
from chatd.db import queries
from chatd.db.batches import slices, to_unnest_arrays
from chatd.db.postgres import Tx
from chatd.matching.signals import MatchClosed, MatchMade
from chatd.realtime.signals import UserConnected

LOG = log.get(__name__)
SQL = queries.load("analytics/recording")
FLUSH_S = 10.0
LAST_FLUSH_TIMEOUT_S = 2.0
# Users that wait to be written, and users that are known to be written today.
MAX_WAITING = 200_000
MAX_NOTED = 200_000
BATCH_SIZE = 1000
# Messages of a tenant and day whose delivery is measured.
MAX_SAMPLES = 1000
# Tenants and days with counters: those of today and yesterday.
MAX_COUNTERS = 10_000
HIGHEST_RANK = 2**48
Key = tuple[str, int]


class Counters(Struct):
    """What is added to the figures of a tenant and day. `samples`: the negated rank, conversation, seq and time of the
    messages with the lowest ranks, as a heap. `limit`: the rank above which none is kept, because there are enough.
    """

    limit: int = HIGHEST_RANK
    messages: int = 0
    characters: int = 0
    matches: int = 0
    ended: int = 0
    kept: int = 0
    matches_ms: int = 0
    samples: list[tuple[int, str, int, int]] = []

    @property
    def values(self) -> tuple[int, ...]:
        return (self.messages, self.characters, self.matches, self.ended, self.kept, self.matches_ms)

    def sample(self, rank: int, conversation: str, seq: int, sent_at: int) -> None:
        """Keep a message if its rank is among the lowest."""
        if rank > self.limit:
            return
        one = (-rank, conversation, seq, sent_at)
        if len(self.samples) < MAX_SAMPLES:
            heapq.heappush(self.samples, one)
        else:
            heapq.heappushpop(self.samples, one)
            self.limit = -self.samples[0][0]


class Recorder:
    """The counters of this node. `run` writes them every `flush_s` seconds."""

    def __init__(self, node: Node, flush_s: float = FLUSH_S) -> None:
        self._node = node
        self._flush_s = flush_s
        self._counters: dict[Key, Counters] = {}
        # The ranks above which samples are not kept, because there are enough.
        self._limits: dict[Key, int] = {}
        self._waiting: dict[tuple[str, int, str], None] = {}
        self._noted: dict[UserKey, None] = {}
        self._day = day_of(node.clock())
        signals = node.signals
        signals.on_sync(UserConnected, self._on_connect)
        signals.on_sync(MessageSent, self._on_message)
        signals.on_sync(MatchMade, self._on_match)
        signals.on_sync(MatchClosed, self._on_match_end)

    async def run(self) -> None:
        while True:
            await trio.sleep(self._flush_s)
            await self.flush()

    async def flush(self) -> None:
        """Write what was counted. What cannot be written waits."""
        await self._begin_day()
        try:
            await self._write_users()
            await self._write_counters()
        except Refused:
            return

    # --- what happens -----------------------------------------------------------------------------------------------

    def _on_connect(self, signal: UserConnected) -> None:
        self._note((signal.tenant, signal.user))

    def _note(self, user: UserKey) -> None:
        """Note that a user has a session today, once."""
        if user in self._noted or len(self._waiting) >= MAX_WAITING:
            return
        if len(self._noted) >= MAX_NOTED:
            # Some users are written once more, which changes nothing.
            self._noted.clear()
        self._noted[user] = None
        self._waiting[user[0], day_of(self._node.clock()), user[1]] = None

    def _on_message(self, signal: MessageSent) -> None:
        message, done = signal.message, signal.done
        key = (message.tenant, day_of(done.created_at))
        counters = self._counters.get(key) or self._of(key)
        counters.messages += 1
        if message.text is not None:
            counters.characters += len(message.text)
        rank = rank_of(done.id)
        if rank <= counters.limit:
            counters.sample(rank, message.conversation, done.seq, done.created_at)

    def _on_match(self, signal: MatchMade) -> None:
        self._of((signal.tenant, day_of(signal.at))).matches += 1

    def _on_match_end(self, signal: MatchClosed) -> None:
        counters = self._of((signal.tenant, day_of(signal.at)))
        if signal.is_kept:
            counters.kept += 1
        else:
            counters.ended += 1
            counters.matches_ms += max(0, signal.at - made_at(signal.match))

    def _of(self, key: Key) -> Counters:
        found = self._counters.get(key)
        if found is None:
            if len(self._counters) >= MAX_COUNTERS:
                LOG.warning("figures of a day are lost: Postgres was unavailable for too long")
                self._counters.clear()
            found = self._counters[key] = Counters(limit=self._limits.get(key, HIGHEST_RANK))
        return found

    # --- writing ----------------------------------------------------------------------------------------------------

    async def _begin_day(self) -> None:
        """After midnight, everybody who is connected has a session on the new day."""
        today = day_of(self._node.clock())
        if today == self._day:
            return
        self._day = today
        self._noted.clear()
        self._limits.clear()
        async for user in each_in_turns(self._node.hub.connections.users()):
            self._note(user)

    async def _write_users(self) -> None:
        by_day: dict[Key, list[str]] = {}
        for tenant, day, user in self._waiting:
            by_day.setdefault((tenant, day), []).append(user)
        for (tenant, day), users in by_day.items():
            for batch in slices(sorted(users), BATCH_SIZE):
                await self._node.db.run(SQL.note_active, tenant, day, batch)
                for user in batch:
                    self._waiting.pop((tenant, day, user), None)

    async def _write_counters(self) -> None:
        for key in list(self._counters):
            counters = self._counters.pop(key)
            try:
                limit = await self._node.db.in_transaction(write_counters, key, counters)
            except BaseException:
                self._put_back(key, counters)
                raise
            if limit is not None:
                self._limits[key] = limit

    def _put_back(self, key: Key, unwritten: Counters) -> None:
        counters = self._of(key)
        counters.messages += unwritten.messages
        counters.characters += unwritten.characters
        counters.matches += unwritten.matches
        counters.ended += unwritten.ended
        counters.kept += unwritten.kept
        counters.matches_ms += unwritten.matches_ms
        for rank, conversation, seq, sent_at in unwritten.samples:
            counters.sample(-rank, conversation, seq, sent_at)


async def write_counters(tx: Tx, key: Key, counters: Counters) -> int | None:
    """Add to the figures of a day. Returns the highest rank of a sample that stays, if there are enough samples."""
    await tx.run(SQL.add_counts, *key, *counters.values)
    if not counters.samples:
        return None
    await tx.run(SQL.add_samples, *key, *to_unnest_arrays(rows_of(counters.samples), 4))
    limit: int | None = await tx.value(SQL.highest_rank, *key, MAX_SAMPLES)
    if limit is not None:
        await tx.run(SQL.limit_samples, *key, limit)
    return limit


def rows_of(samples: Iterable[tuple[int, str, int, int]]) -> list[tuple[Any, ...]]:
    return [(-rank, conversation, seq, sent_at) for rank, conversation, seq, sent_at in samples]


def rank_of(message: str) -> int:
    """The rank of a message in the sample: 48 random bits of its id, so that each message has the same chance."""
    return int(message[-12:], 16)
