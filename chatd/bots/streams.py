"""Filters what the sessions of bots receive (`visibility.py`), in the order in which it was sent.

Whether a message concerns a bot is looked up in Postgres, by the function that all reading uses, for the waiting events
of all bots of this node in one statement. What a session is sent meanwhile waits behind them, answers as well. If the
database cannot be read, the bot gets `behind`.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

import trio
from msgspec import Struct

from chatd.bots.visibility import Judgement, Place, judgement_of, places_in, shown
from chatd.core.errors import Refused
from chatd.core.turns import each_in_turns
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres
from chatd.realtime.event_filter import EventFilter, FilteredSession, Send
from chatd.realtime.feeds import gap_delivery
from chatd.realtime.sessions import Delivery

SQL = queries.load("bots/visibility")
# What waits for one session. A bot that is sent more, while the database does not answer, has to connect again.
MAX_WAITING = 2000
BATCH_SIZE = 500


class Item(Struct):
    """A frame that waits. Without `judgement` it is sent as it is."""

    frame: Any
    delivery: Delivery | None
    body: dict[str, Any] | None = None
    judgement: Judgement | None = None
    places: list[Place] = []


class BotStream:
    """What waits for one session. `send` takes the place of its `send_nowait`."""

    def __init__(self, owner: "BotStreams", session: FilteredSession) -> None:
        self.session = session
        self.waiting: deque[Item] = deque()
        self.write: Send = session.send_nowait
        self._owner = owner

    def send(self, frame: Any, delivery: Delivery | None = None, /) -> bool:
        """Send in order. Returns False for what a bot does not get."""
        item = Item(frame, delivery)
        if delivery is not None and not judge(item, delivery):
            return False
        if not self.waiting and not item.places:
            return self._owner.deliver(self, item, [])
        if len(self.waiting) >= MAX_WAITING:
            self.waiting.clear()
            self.session.request_close("slow")
            return False
        self.waiting.append(item)
        self._owner.wake(self)
        return True


def judge(item: Item, delivery: Delivery) -> bool:
    """Decide how an event is delivered. Returns whether it is."""
    body = delivery.frames.body()
    judgement = judgement_of(body)
    if judgement is None or judgement is Judgement.DROPPED:
        item.frame, item.delivery = None, gap_of(delivery)
        return item.delivery is not None
    if judgement is not Judgement.WHOLE:
        item.body, item.judgement, item.places = body, judgement, places_in(body, judgement)
    return True


def gap_of(delivery: Delivery) -> Delivery | None:
    """What replaces an event that has a place in the order of its conversation."""
    return gap_delivery(delivery.topic, delivery.rev) if delivery.rev else None


class BotStreams(EventFilter):
    """The streams of this node. `concealed`: messages of which a bot got only the place."""

    def __init__(self, db: Postgres) -> None:
        self.concealed = 0
        self._db = db
        self._due: dict[BotStream, None] = {}
        self._news = trio.Event()

    def attach(self, session: FilteredSession) -> None:
        stream = BotStream(self, session)
        session.send_nowait = stream.send

    def wake(self, stream: BotStream) -> None:
        self._due[stream] = None
        self._news.set()

    async def run(self) -> None:
        """Run forever."""
        while True:
            while self._due:
                await self._serve(list(self._due))
            self._news = trio.Event()
            await self._news.wait()

    async def _serve(self, streams: Sequence[BotStream]) -> None:
        """Send what waits for these sessions, as much as one statement looks up."""
        taken: list[tuple[BotStream, Item]] = []
        for stream in streams:
            # It is the last of the next round, so that a busy one delays no other.
            self._due[stream] = self._due.pop(stream, None)
            taken += ((stream, item) for item in islice(stream.waiting, BATCH_SIZE))
            if len(taken) >= BATCH_SIZE:
                break
        try:
            concealed = await self._look_up(taken)
        except Refused:
            concealed = None
        async for index, (stream, item) in each_in_turns(list(enumerate(taken))):
            if stream.waiting and stream.waiting[0] is item:
                stream.waiting.popleft()
                self.deliver(stream, item, None if concealed is None else concealed[index])
            if not stream.waiting:
                self._due.pop(stream, None)
        for stream in streams:
            if not stream.waiting:
                self._due.pop(stream, None)

    async def _look_up(self, taken: Sequence[tuple[BotStream, Item]]) -> list[list[bool]]:
        """Of each item, which of its places are concealed. Raises Refused."""
        asked = [(index, stream.session, place) for index, (stream, item) in enumerate(taken) for place in item.places]
        by_seq = [
            (one.tenant, place.conversation, one.user, place.seq) for _, one, place in asked if place.seq is not None
        ]
        by_id = [
            (one.tenant, place.conversation, one.user, place.message) for _, one, place in asked if place.seq is None
        ]
        hidden_seqs = {row["number"] for row in await self._rows(SQL.concealed, by_seq)}
        hidden_ids = {row["number"] for row in await self._rows(SQL.concealed_by_id, by_id)}
        found: list[list[bool]] = [[] for _ in taken]
        seqs = ids = 0
        for index, _, place in asked:
            if place.seq is not None:
                seqs += 1
                found[index].append(seqs in hidden_seqs)
            else:
                ids += 1
                found[index].append(ids in hidden_ids)
        return found

    async def _rows(self, statement: str, keys: Sequence[tuple[Any, ...]]) -> list[Any]:
        return await self._db.all(statement, *to_unnest_arrays(keys, 4)) if keys else []

    def deliver(self, stream: BotStream, item: Item, concealed: list[bool] | None) -> bool:
        """Write an item. `concealed`: of each of its places; None if it is not known. Returns whether it was taken."""
        frame, delivery = item.frame, item.delivery
        if concealed is None and item.places:
            frame, delivery = None, None if delivery is None else gap_of(delivery)
        elif item.body is not None and item.judgement is not None:
            self.concealed += bool(concealed and concealed[0])
            body = shown(item.body, item.judgement, concealed or [])
            # What is shown whole is the frame that other sessions get.
            if body is not item.body:
                frame = stream.session.codec.frame_of(body)
        if frame is None and delivery is not None:
            frame = delivery.frames[stream.session.codec]
        return frame is not None and bool(stream.write(frame, delivery))
