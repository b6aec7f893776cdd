"""Who may see the presence of whom, and the updates that subscribers get.

Visibility is queried for many pairs at once, when updates are sent. A viewer who may not see a user gets `offline`
without `last_seen`, as for a user who does not exist.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import trio
from msgspec import Struct

from chatd.core.identity import UserKey
from chatd.core.turns import each_in_turns
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres
from chatd.presence.events import PresenceState, PresenceUpdate, Status
from chatd.presence.local_presence import OFFLINE
from chatd.presence.subscriptions import PresenceSubscriptions, Target
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import WRITES_PER_TURN, Delivery, EncodedEvent

SQL = queries.load("presence/visibility")
STATUSES: tuple[Status, ...] = ("offline", "away", "online")
BATCH_SIZE = 1000
# The pairs of a target and a viewer in which the viewer may see the user, and when the user was last seen
# (milliseconds).
Visible = Mapping[tuple[Target, str], int | None]


class Watcher(Struct):
    """A session that watches a user, and the level of the user."""

    target: Target
    session: str
    viewer: str
    level: int


class PresenceVisibility:
    """Decides who sees whom. `shown_to`: who sees the presence of users without a setting of their own."""

    def __init__(self, hub: Hub, db: Postgres, subscriptions: PresenceSubscriptions, shown_to: str) -> None:
        self._hub = hub
        self._db = db
        self._subscriptions = subscriptions
        self._shown_to = shown_to

    async def visible(self, pairs: Iterable[tuple[Target, str]]) -> Visible:
        """Query which of these pairs are visible. Raises Refused."""
        lookups = [(*target.user, viewer, target.alias) for target, viewer in dict.fromkeys(pairs)]
        rows = await self._db.all(SQL.visible_pairs, *to_unnest_arrays(lookups, 4), self._shown_to)
        return {(Target((row["tenant"], row["user"]), row["alias"]), row["viewer"]): row["last_seen"] for row in rows}

    async def states(
        self, viewer: str, targets: Iterable[Target], levels: Mapping[UserKey, int]
    ) -> list[PresenceState]:
        """The states of the targets, as the viewer may see them. Raises Refused."""
        visible = await self.visible((target, viewer) for target in targets)
        found = []
        for target in targets:
            shown, last_seen = visible_status(target, viewer, levels[target.user], visible)
            found.append(PresenceState(user=target.shown_as, status=STATUSES[shown], last_seen=last_seen))
        return found

    async def send_updates(self, users: Sequence[UserKey]) -> None:
        """Send the presence of these users to the sessions of this node that watch them. Raises Refused."""
        watchers = list[Watcher]()
        async for user in each_in_turns(users):
            watchers += self._watchers(user)
            if len(watchers) >= BATCH_SIZE:
                await self._send_pages(watchers)
                watchers.clear()
        await self._send_pages(watchers)

    async def _send_pages(self, watchers: Sequence[Watcher]) -> None:
        for at in range(0, len(watchers), BATCH_SIZE):
            part = watchers[at : at + BATCH_SIZE]
            visible = await self.visible((watcher.target, watcher.viewer) for watcher in part)
            await self._send(part, visible)

    def _watchers(self, user: UserKey) -> Iterator[Watcher]:
        watched = self._subscriptions.watched.get(user)
        for id_, alias in watched.subscribers if watched is not None else ():
            session = self._hub.connections.by_id.get(id_)
            if session is not None:
                yield Watcher(Target(user, alias), id_, session.user, self._subscriptions.level(user))

    async def _send(self, watchers: Sequence[Watcher], visible: Visible) -> None:
        frames: dict[tuple[Target, int, int | None], Delivery] = {}
        for turn, watcher in enumerate(watchers, start=1):
            shown, last_seen = visible_status(watcher.target, watcher.viewer, watcher.level, visible)
            key = (watcher.target, shown, last_seen)
            if key not in frames:
                update = PresenceUpdate(user=watcher.target.shown_as, status=STATUSES[shown], last_seen=last_seen)
                frames[key] = Delivery(EncodedEvent(update), ephemeral=True)
            self._send_one(watcher, shown, frames[key])
            if turn % WRITES_PER_TURN == 0:
                await trio.lowlevel.checkpoint()

    def _send_one(self, watcher: Watcher, shown: int, delivery: Delivery) -> None:
        """Send an update unless the session has it.

        A slow reader, and a session without its first answer, get it later.
        """
        session = self._hub.connections.by_id.get(watcher.session)
        user, subscriber = watcher.target.user, (watcher.session, watcher.target.alias)
        watched = self._subscriptions.watched.get(user)
        if session is None or watched is None or subscriber not in watched.subscribers:
            return
        sent = watched.subscribers[subscriber]
        if sent == shown:
            return
        if sent is not None and session.send_nowait(delivery.frames[session.codec], delivery):
            self._subscriptions.note_sent(watcher.session, watcher.target, shown, watcher.level)
        else:
            self._subscriptions.mark_changed([user])


def visible_status(target: Target, viewer: str, level: int, visible: Visible) -> tuple[int, int | None]:
    """The level that the viewer may see, and when the user was last seen."""
    key = (target, viewer)
    if key not in visible:
        return OFFLINE, None
    return level, visible[key] if level == OFFLINE else None
