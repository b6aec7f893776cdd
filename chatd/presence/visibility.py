"""Who may see whether somebody is there, and what is told of it: nothing else of presence is for people.

It is looked up for many pairs at once, at the time of telling. Who may not see somebody sees them `offline`, never seen: no other
than somebody who does not exist.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import trio
from msgspec import Struct

from chatd.core.turns import each_in_turns
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.db.unnest import columns_of
from chatd.presence.events import PresenceState, PresenceUpdate, Status
from chatd.presence.local_presence import GONE, User
from chatd.presence.watchers import Lookers, Target
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import WRITES_PER_TURN, Delivery, EncodedEvent

SQL = queries.load("presence/sight")
STATUSES: tuple[Status, ...] = ("offline", "away", "online")
AT_ONCE = 1000
# Of pairs of a target and a viewer those in which the viewer may see the user, with when the user was last here.
Visible = Mapping[tuple[Target, str], int | None]


class Look(Struct):
    """A session that looks at a user, who is of this rank."""

    target: Target
    session: str
    viewer: str
    rank: int


class Sight:
    """`shown_to`: who sees presence unless a user says otherwise."""

    def __init__(self, hub: Hub, db: Postgres, lookers: Lookers, shown_to: str) -> None:
        self._hub = hub
        self._db = db
        self._lookers = lookers
        self._shown_to = shown_to

    async def visible(self, pairs: Iterable[tuple[Target, str]]) -> Visible:
        """Raises Refused."""
        asked = [(*target.user, viewer, target.alias) for target, viewer in dict.fromkeys(pairs)]
        rows = await self._db.all(SQL.visible, *columns_of(asked, 4), self._shown_to)
        return {(Target((row["tenant"], row["user"]), row["alias"]), row["viewer"]): row["last_seen"] for row in rows}

    async def states(self, viewer: str, targets: Iterable[Target], ranks: Mapping[User, int]) -> list[PresenceState]:
        """How these are, as the viewer may see it. Raises Refused."""
        visible = await self.visible((target, viewer) for target in targets)
        found = []
        for target in targets:
            shown, last_seen = status_for(target, viewer, ranks[target.user], visible)
            found.append(PresenceState(user=target.shown_as, status=STATUSES[shown], last_seen=last_seen))
        return found

    async def tell(self, users: Sequence[User]) -> None:
        """Tell the sessions here that look at these what is news to them. Raises Refused."""
        looks = list[Look]()
        async for user in each_in_turns(users):
            looks += self._looks(user)
            if len(looks) >= AT_ONCE:
                await self._tell_all(looks)
                looks.clear()
        await self._tell_all(looks)

    async def _tell_all(self, looks: Sequence[Look]) -> None:
        for at in range(0, len(looks), AT_ONCE):
            part = looks[at : at + AT_ONCE]
            visible = await self.visible((look.target, look.viewer) for look in part)
            await self._tell(part, visible)

    def _looks(self, user: User) -> Iterator[Look]:
        watched = self._lookers.watched.get(user)
        for id_, alias in watched.lookers if watched is not None else ():
            session = self._hub.connections.by_id.get(id_)
            if session is not None:
                yield Look(Target(user, alias), id_, session.user, self._lookers.rank(user))

    async def _tell(self, looks: Sequence[Look], visible: Visible) -> None:
        frames: dict[tuple[Target, int, int | None], Delivery] = {}
        for turn, look in enumerate(looks, start=1):
            shown, last_seen = status_for(look.target, look.viewer, look.rank, visible)
            key = (look.target, shown, last_seen)
            if key not in frames:
                update = PresenceUpdate(user=look.target.shown_as, status=STATUSES[shown], last_seen=last_seen)
                frames[key] = Delivery(EncodedEvent(update), ephemeral=True)
            self._tell_one(look, shown, frames[key])
            if turn % WRITES_PER_TURN == 0:
                await trio.lowlevel.checkpoint()

    def _tell_one(self, look: Look, shown: int, news: Delivery) -> None:
        """Nobody is told twice. Who reads too slowly, or waits for the first answer, is told later what it is then."""
        session = self._hub.connections.by_id.get(look.session)
        user, looker = look.target.user, (look.session, look.target.alias)
        watched = self._lookers.watched.get(user)
        if session is None or watched is None or looker not in watched.lookers:
            return
        told = watched.lookers[looker]
        if told == shown:
            return
        if told is not None and session.send_nowait(news.frames[session.codec], news):
            self._lookers.note_told(look.session, look.target, shown, look.rank)
        else:
            self._lookers.mark([user])


def status_for(target: Target, viewer: str, rank: int, visible: Visible) -> tuple[int, int | None]:
    """The rank that the viewer may see, and when the user was last here."""
    key = (target, viewer)
    if key not in visible:
        return GONE, None
    return rank, visible[key] if rank == GONE else None
