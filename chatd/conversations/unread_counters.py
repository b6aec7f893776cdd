"""Unread counters for the other devices of a reader, after one device has read further.

It does not delay receipts: it costs them one entry in a dict, and only if the reader has another session. What has
gathered while the database answered is looked up in one query, once for each reader and conversation, however often
they have read in between.
"""

import trio
from msgspec import UNSET, Struct
from msgspec.structs import astuple, replace

from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.conversations.events import ConversationUpdate
from chatd.conversations.read_model import COUNTED_PER_STATEMENT, conversation_of
from chatd.core.errors import Refused
from chatd.core.turns import each_in_turns
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Delivery, EncodedEvent
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("conversations/unread_counters")
MAX_WAITING = 10_000
RETRY_S = 1.0


class Reader(Struct, frozen=True):
    """A user whose position has moved, and the conversation."""

    tenant: str
    user: str
    conversation: str


class RefreshUnread(ControlMessage, array_like=True, tag="refresh-unread"):
    """A user has read further: send the new counters of the conversation to their sessions except `exclude_session`."""

    tenant: str
    user: str
    conversation: str
    exclude_session: str | None

    async def apply(self, receiver: Receiver) -> None:
        await receiver.services.get(UnreadCounters).add(self)


class UnreadCounters:
    """The readers to update; `run` sends the counters."""

    def __init__(self, db: Postgres, hub: Hub) -> None:
        self._db = db
        self._hub = hub
        # The session that has read further is excluded.
        self._waiting: dict[Reader, str | None] = {}
        self._work = trio.Event()

    async def add(self, order: RefreshUnread) -> None:
        """Queue an update for the sessions on this node, if there are any."""
        if not self._hub.connections.has_other(order.tenant, order.user, order.exclude_session):
            return
        reader = Reader(order.tenant, order.user, order.conversation)
        if len(self._waiting) >= MAX_WAITING and reader not in self._waiting:
            await self._hub.deliver_to_user(
                order.tenant, order.user, Delivery(EncodedEvent(SessionBehind()), exclude_session=order.exclude_session)
            )
            return
        known = self._waiting.get(reader, order.exclude_session)
        self._waiting[reader] = order.exclude_session if known == order.exclude_session else None
        self._work.set()

    async def run(self) -> None:
        while True:
            await self._work.wait()
            batch = {reader: self._waiting.pop(reader) for reader in tuple(self._waiting)[:COUNTED_PER_STATEMENT]}
            if not batch:
                self._work = trio.Event()
                continue
            try:
                await self._send(batch)
            except Exception as error:
                self._waiting = batch | self._waiting
                if not isinstance(error, Refused):
                    raise
                await trio.sleep(RETRY_S)

    async def _send(self, batch: dict[Reader, str | None]) -> None:
        columns = to_unnest_arrays(map(astuple, batch), len(Reader.__struct_fields__))
        async for row in each_in_turns(await self._db.all(SQL.own_conversations, *columns)):
            reader = Reader(row["tenant"], row["reader"], row["id"])
            mine = replace(conversation_of(row, [], None), members=UNSET, last_message=UNSET)
            delivery = Delivery(EncodedEvent(ConversationUpdate(conversation=mine)), exclude_session=batch[reader])
            await self._hub.deliver_to_user(reader.tenant, reader.user, delivery)
