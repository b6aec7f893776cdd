"""Who is online, away or gone, on all nodes together.

Each node writes what it knows of its own users to the board (presence/redis_store.py), under a lease, and tells the
others what changes. Whoever is looked at here is the highest of what all nodes say. Nobody says goodbye for anybody: a
session that ends is held for the grace, a node that ends for its lease, and both have time to be back. Only sessions
that look are told, and only what they may know at that moment (presence/visibility.py).

With Redis away those who are looked at stay what was known last; of all others what is known here counts.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice

import trio

from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import ControlMessage
from chatd.cluster.signals import Resync
from chatd.conversations.signals import VisibilityChanged
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.health import Health
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis
from chatd.presence.events import PresenceState
from chatd.presence.local_presence import GONE, Attendance, User
from chatd.presence.redis_store import Board, Dead
from chatd.presence.visibility import Sight
from chatd.presence.watchers import Lookers, Target
from chatd.realtime.drain import NodeLeft
from chatd.realtime.hub import Hub
from chatd.realtime.signals import SessionRemoved

LOG = log.get(__name__)
SQL = queries.load("presence/presence")
# Seconds between two looks at what has changed, and between two renewals of the lease.
TICK, BEAT = 0.1, 2.0
# A lease is as long as the grace, but not shorter.
SHORTEST_LEASE = 3 * BEAT
# Seconds between two updates of one user.
PAUSE = 1.0
AT_ONCE = 500
MOST_UNSAVED = 50_000
# Seconds after which a database that was away is asked again.
LATER = 2.0


class PresenceChanged(ControlMessage, array_like=True, tag="presence"):
    """The present rank of users (tenant, id) of this node: 0 gone, 1 away, 2 online."""

    node: str
    changes: list[tuple[str, str, int]]

    async def apply(self, cluster: Cluster) -> None:
        cluster.services.get(Presence).note_changes(self.node, self.changes)


class PresenceWritten(ControlMessage, array_like=True, tag="presences"):
    """A node has written all of its users to Redis anew."""

    async def apply(self, cluster: Cluster) -> None:
        cluster.services.get(Presence).look_soon()


class PresenceShown(ControlMessage, array_like=True, tag="shown"):
    """Who may see these users may have changed."""

    tenant: str
    users: list[str]

    async def apply(self, cluster: Cluster) -> None:
        cluster.services.get(Presence).mark(self.tenant, self.users)


class Presence:
    """`run` it; everything else may be called at any time."""

    def __init__(
        self,
        grace: float,
        shown_to: str,
        db: Postgres,
        redis: Redis,
        hub: Hub,
        cluster: Cluster,
        clock: Callable[[], int],
    ) -> None:
        self._grace = grace
        self._db = db
        self._hub = hub
        self._cluster = cluster
        self._clock = clock
        self._board = Board(redis, cluster.name, max(grace, SHORTEST_LEASE))
        self._attendance = Attendance(hub, grace)
        self._lookers = Lookers(self._attendance, cluster.name)
        self.sight = Sight(hub, db, self._lookers, shown_to)
        # Who has gone, and when (milliseconds), until it is in the database.
        self._gone: dict[User, int] = {}
        self._saving = trio.Lock()
        self._save_at = 0.0
        self._is_written = False
        self._must_look = False
        self._well_since = trio.current_time()
        signals = hub.signals
        signals.on_sync(SessionRemoved, self._removed)
        signals.on_sync(VisibilityChanged, lambda signal: self.show_anew(signal.tenant, signal.users))
        signals.on(NodeLeft, lambda _: self.leave())
        signals.on_sync(Resync, self.look_soon)

    # --- what users ask -------------------------------------------------------------------------------------------------

    def set(self, session: str, user: User, *, away: bool) -> None:
        """For one session. Raises Refused for one that is not here."""
        self._check_here(session)
        self._attendance.set(user, session, away)

    def _check_here(self, session: str) -> None:
        if session not in self._hub.connections.by_id:
            raise Refused("bad_request", "this command needs a socket")

    async def watch(self, session: str, viewer: str, targets: Sequence[Target]) -> list[PresenceState]:
        """From now on the session is told of these, and of nobody else. Raises Refused: then it looks at nobody."""
        self._check_here(session)
        self._lookers.look(session, targets)
        try:
            ranks = await self.ranks([target.user for target in targets])
            states = await self.sight.states(viewer, targets, ranks)
        except Refused:
            self._lookers.look(session, [])
            raise
        for target, state in zip(targets, states, strict=True):
            rank = ranks[target.user]
            self._lookers.note_told(session, target, GONE if state.status == "offline" else rank, rank)
        return states

    async def ranks(self, users: Sequence[User]) -> dict[User, int]:
        """The truth, whoever may see it; what is known here when the board is away."""
        lookers = self._lookers
        unknown = [user for user in users if user not in lookers.watched or not lookers.watched[user].known]
        said: Mapping[str, Mapping[User, int]] = {}
        words = lookers.words
        try:
            said = await self._board.look(unknown) if unknown else {}
            lookers.learn(said, unknown, words)
        except Refused:
            self._must_look = True
        others = [ranks for node, ranks in said.items() if node != self._cluster.name]
        return {user: max([lookers.rank(user), *(ranks.get(user, GONE) for ranks in others)]) for user in users}

    def show_anew(self, tenant: str, users: Sequence[str]) -> None:
        """Who may see these has changed: whoever looks at them is told what they may see now."""
        self._cluster.publish(PresenceShown(tenant, list(users)))
        self.mark(tenant, users)

    # --- this node's users ----------------------------------------------------------------------------------------------

    def _removed(self, signal: SessionRemoved) -> None:
        self._attendance.detached(signal.session, trio.current_time())
        self._lookers.forget(signal.session)

    async def run(self, health: Health) -> None:
        async with trio.open_nursery() as nursery:
            health.start(nursery, "presence updates", self._tell)
            beat_at = 0.0
            while True:
                await self._share()
                if trio.current_time() >= beat_at:
                    beat_at = trio.current_time() + BEAT
                    await self._beat(nursery)
                await trio.sleep(TICK)

    async def _share(self) -> None:
        """What has changed here goes to Postgres, to the board, and to the other nodes."""
        left = self._clock() - int(self._grace * 1000)
        self._gone |= dict.fromkeys(self._attendance.expire(trio.current_time()), left)
        await self._save()
        changed, self._attendance.changed = list(self._attendance.changed), {}
        self._lookers.mark(changed)
        for at in range(0, len(changed), AT_ONCE):
            ranks = [(user, self._attendance.rank(user)) for user in changed[at : at + AT_ONCE]]
            await self._write(ranks)
            changes = [(tenant, id_, rank) for (tenant, id_), rank in ranks]
            self._cluster.publish(PresenceChanged(self._cluster.name, changes))

    async def _write(self, ranks: Sequence[tuple[User, int]]) -> None:
        """To the board; when it is away everything is written later."""
        if self._is_written:
            try:
                await self._board.write(ranks)
            except Refused:
                self._missed()

    def _missed(self) -> None:
        """Redis is away. When it is back the leases of all others may be over: they have time to renew them."""
        self._is_written = False
        self._well_since = trio.current_time() + SHORTEST_LEASE

    async def _save(self) -> None:
        """When those who have gone were last here. A database that is away is asked again later."""
        async with self._saving:
            while self._gone and trio.current_time() >= self._save_at:
                part = dict(islice(self._gone.items(), AT_ONCE))
                for user in part:
                    del self._gone[user]
                try:
                    await self._save_seen(list(part.items()))
                except Exception as error:
                    self._save_at = trio.current_time() + LATER
                    # Somebody may have gone once more in the meantime.
                    self._gone = dict(list((part | self._gone).items())[-MOST_UNSAVED:])
                    if not isinstance(error, Refused):
                        raise

    async def leave(self) -> None:
        """This node stops, and everybody has gone: when they were last here is written while there is time."""
        self._gone |= dict.fromkeys(self._attendance.everybody(), self._clock())
        await self._save()

    async def _save_seen(self, seen: Sequence[tuple[User, int]]) -> None:
        tenants, users = [user[0] for user, _ in seen], [user[1] for user, _ in seen]
        await self._db.run(SQL.seen, tenants, users, [at for _, at in seen])

    async def _beat(self, nursery: trio.Nursery) -> None:
        """Say that we are here, and hear who else is. What Redis has lost, or did not take, is written anew."""
        try:
            ready = trio.current_time() >= self._well_since
            word = await self._board.beat(bury=ready) if self._is_written else None
            if word is None:
                await self._appear()
                return
            if word.dead is not None:
                nursery.start_soon(self._bury, word.dead)
            self._lookers.nodes_are(word.nodes)
            if self._must_look:
                await self._look_again()
        except Refused:
            self._missed()

    async def _appear(self) -> None:
        """All of our users to the board. Raises Refused."""
        await self._board.appear((user, self._attendance.rank(user)) for user in self._attendance.everybody())
        self._is_written = True
        self._cluster.publish(PresenceWritten())

    async def _bury(self, dead: Dead) -> None:
        """A node has died: when its users were last here is written for it."""
        with suppress(Refused):
            async for users in self._board.users_of(dead.node):
                await self._save_seen([(user, dead.since) for user in users])
            if await self._board.bury(dead):
                LOG.info("a node is gone", extra={"node": dead.node})

    # --- what the others say --------------------------------------------------------------------------------------------

    def look_soon(self, _: object = None) -> None:
        """Orders may have been lost."""
        self._must_look = True

    async def _look_again(self) -> None:
        """The board knows what they said. Raises Refused."""
        users, words = list(self._lookers.watched), self._lookers.words
        self._must_look = False
        try:
            self._lookers.learn(await self._board.look(users), users, words)
        except Refused:
            self._must_look = True
            raise

    def note_changes(self, node: str, changes: Sequence[tuple[str, str, int]]) -> None:
        """What another node says of its users: tenant, id, rank."""
        for tenant, user, rank in changes:
            self._lookers.hear(node, (tenant, user), rank)

    def mark(self, tenant: str, users: Sequence[str]) -> None:
        """Who may see these users may have changed."""
        self._lookers.mark((tenant, user) for user in users)

    async def _tell(self) -> None:
        """For ever: those who look."""
        while True:
            await trio.sleep(TICK)
            due = self._lookers.due(trio.current_time(), PAUSE)
            try:
                await self.sight.tell(due)
            except Exception as error:
                self._lookers.mark(due)
                if not isinstance(error, Refused):
                    raise
                await trio.sleep(LATER)

    def statistics(self) -> dict[str, int]:
        return self._attendance.statistics() | self._lookers.statistics()
