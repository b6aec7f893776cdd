"""Finds a page of results, newest first, in growing windows of time, each with a time limit.

For a frequent word, one query of the whole index would find a million messages to show twenty. So the first query
covers one day, the next ones the week before, two months, more than a year, and all older messages. A frequent word
fills the page with the first day; a rare word makes each query cheap. Times, conversations and senders are lexemes in
the same index and narrow each query.

The matches of the index are checked again in the current text (phrases, pairs of Chinese or Thai characters, texts that
were edited a moment ago); this also finds the highlights. After a second, or after enough texts were read, the page
ends with the results so far and a cursor to continue. The search is refused only if not even the first query ends in
time.
"""

import time
from collections.abc import Iterator
from typing import Any

import trio
from msgspec import Struct

from chatd.app.context import Ctx
from chatd.conversations.entities import Message
from chatd.conversations.read_model import message_of
from chatd.core.errors import Refused
from chatd.core.ids import NIL
from chatd.core.turns import in_turns
from chatd.db import queries
from chatd.db.postgres import Row, Tx
from chatd.search.facets import DAY, SPAN, days, spans
from chatd.search.query import Query, any_of, places_query, tsquery
from chatd.search.tokenizer import highlights_in_slices
from chatd.wire.times import LATEST_MS

SQL = queries.load("search/search")
# Days of each window; the last one has no end.
SPANS_DAYS = (1, 8, 2 * SPAN, 16 * SPAN, None)
# Milliseconds for all queries of a page, and the minimum for a single one.
PAGE_TIMEOUT_MS, MIN_SPAN_TIMEOUT_MS = 1000.0, 100.0
# Characters of texts that are read for a page.
MAX_CHARS_READ = 200_000
# Rows of one statement.
MAX_ROWS = 400
# With more conversations than this, the query does not name them: the user may see most of what is found. (A
# query names far fewer than that.)
MAX_CONVERSATIONS = 500


class Spot(Struct, frozen=True):
    """A position in the order of results: everything older is still to come."""

    time: int
    conversation: str = NIL
    seq: int = 0


class Hit(Struct, frozen=True):
    """A message, and the positions of the matches in its text."""

    conversation: str
    message: Message
    highlights: list[list[int]]


class Search:
    """One page. `hits` so far; `spot` is the position up to which the search has read."""

    def __init__(self, ctx: Ctx, query: Query, limit: int) -> None:
        self.hits: list[Hit] = []
        self.spot = Spot(0)
        self._ctx = ctx
        self._query = query
        self._limit = limit
        self._places: list[str] = []
        self._start = self.spot
        self._prefix = any(term.prefix for term in query.wanted)
        # In a match, messages are not found by user id: that would reveal the members.
        self._without_matches = bool(query.senders) and not query.by_alias
        self._read = 0
        self._deadline = 0.0

    async def run(self, since: Spot | None) -> Spot | None:
        """Fill the page, from a spot on. Returns the spot to continue from, None if there are no more results.

        Raises Refused (`timeout`).
        """
        self._deadline = time.perf_counter() * 1000 + PAGE_TIMEOUT_MS
        newest = await self._look_up_places()
        top = newest + 1 if self._query.before is None else min(newest + 1, self._query.before)
        self.spot = min(since or Spot(top), Spot(top), key=lambda spot: (spot.time, spot.conversation, spot.seq))
        self._start = self.spot
        if not self._places or not self._query.is_selective:
            return None
        for low, times in windows(self.spot.time, self._query.after or 0):
            if await self._window(low, times):
                return self.spot
            self.spot = Spot(low)
        return None

    async def _look_up_places(self) -> int:
        """The time of the newest message in any of the user's conversations, or the latest possible time."""
        only = list(self._query.conversations) or None
        rows = await self._bounded(
            SQL.indexed_conversations, PAGE_TIMEOUT_MS, self._ctx.tenant, self._ctx.user, only, self._without_matches
        )
        self._places = [row["id"] for row in rows]
        return min(max((row["newest"] for row in rows), default=0), LATEST_MS)

    async def _window(self, low: int, times: list[str]) -> bool:
        """Search from `low` up to the spot. Returns whether the page ends in it."""
        size = 2 * self._limit + 1
        while True:
            rows = await self._ask(low, times, size)
            if rows is None:
                return True
            for row in rows:
                if len(self.hits) >= self._limit or self._read >= MAX_CHARS_READ:
                    return True
                await self._take(row)
                await trio.lowlevel.checkpoint()
            if len(rows) < size:
                return False
            size = min(4 * size, MAX_ROWS)

    async def _ask(self, low: int, times: list[str], size: int) -> list[Row] | None:
        """Query the index. Returns None if the time is over and there was progress. Raises Refused: `timeout`."""
        left = self._deadline - time.perf_counter() * 1000
        moved = self.spot != self._start
        if left < 0 and moved:
            return None
        try:
            return await self._page(low, times, size, max(left / 2 if self._prefix else left, MIN_SPAN_TIMEOUT_MS))
        except Refused as refused:
            if refused.code != "timeout":
                raise
        if self._prefix:
            # The prefix matches too many words: search whole words only.
            self._prefix = False
            return await self._ask(low, times, size)
        if moved:
            return None
        raise Refused("timeout", "the search took too long; add a word or a filter")

    async def _page(self, low: int, times: list[str], size: int, timeout_ms: float) -> list[Row]:
        ctx, named, spot = self._ctx, len(self._places) <= MAX_CONVERSATIONS, self.spot
        words = tsquery(self._query, prefix=self._prefix)
        filters = (words, places_query(self._places) if named else words, any_of(times) if times else words)
        args = (
            ctx.tenant,
            ctx.user,
            *filters,
            low,
            spot.time,
            spot.conversation,
            spot.seq,
            size,
            self._without_matches,
        )
        return await self._bounded(SQL.page, timeout_ms, *args)

    async def _bounded(self, sql: str, timeout_ms: float, *args: Any) -> list[Row]:
        """All rows. Raises Refused (`timeout`) after this many milliseconds."""
        return await self._ctx.node.db.in_snapshot(read_rows, str(int(timeout_ms)), sql, *args)

    async def _take(self, row: Row) -> None:
        self.spot = Spot(row["hit_at"], row["hit_in"], row["hit_seq"])
        if row["id"] is None:
            return
        message, query = message_of(row, self._ctx.files_url), self._query
        text = message.text or ""
        self._read += len(text)
        found = await in_turns(highlights_in_slices(text, query.wanted, query.unwanted))
        if found is not None and not is_over(message, self._ctx.now):
            self.hits.append(Hit(row["hit_in"], message, [list(span) for span in found]))


async def read_rows(tx: Tx, timeout_ms: str, sql: str, *args: Any) -> list[Row]:
    await tx.run(SQL.set_search_options, timeout_ms)
    return await tx.all(sql, *args)


def is_over(message: Message, now: int) -> bool:
    """Whether the message has expired but was not deleted yet."""
    return isinstance(message.expires_at, int) and message.expires_at <= now


def windows(top: int, floor: int) -> Iterator[tuple[int, list[str]]]:
    """The windows of time from the newest to the oldest: the lower bound, and the lexemes of those times, none for the
    oldest window.
    """
    for days_back in SPANS_DAYS:
        if top <= floor:
            return
        low = floor if days_back is None else max(floor, top - days_back * DAY)
        yield low, [] if days_back is None else (days if days_back < SPAN else spans)(low, top)
        top = low
