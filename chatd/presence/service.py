"""Who is online, away or offline, on all nodes together.

Each node writes the levels of its own users to Redis (redis_store.py), under a lease, and publishes changes to the
other nodes. The level of a user is the highest that any node reports. A level outlives a session by the grace period,
and a node by its lease, so that both can come back. Only subscribed sessions get updates, and only what they may see at
that moment (visibility.py).

While Redis is unavailable, watched users keep their last known level; of other users only those of this node are known.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice

import trio
from msgspec import Struct

from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.cluster.signals import Resync
from chatd.conversations.signals import VisibilityChanged
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.health import Health
from chatd.core.identity import UserKey
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis
from chatd.presence.events import PresenceState
from chatd.presence.local_presence import OFFLINE, LocalPresence
from chatd.presence.redis_store import ExpiredNode, PresenceStore
from chatd.presence.subscriptions import PresenceSubscriptions, Target
from chatd.presence.visibility import PresenceVisibility
from chatd.realtime.drain import NodeLeft
from chatd.realtime.hub import Hub
from chatd.realtime.signals import SessionRemoved

LOG = log.get(__name__)
SQL = queries.load("presence/last_seen")
# A lease is as long as the grace period, but not shorter than this number of heartbeats.
MIN_LEASE_BEATS = 3
BATCH_SIZE = 500
MAX_UNSAVED = 50_000
# Seconds until the next attempt after a failure of the database.
RETRY_S = 2.0


class PresenceTunables(Struct, frozen=True, kw_only=True):
    """Times of the presence service. `poll_s`: how often changes are collected, and updates sent. `update_interval_s`:
    the time between two updates of one user.
    """

    poll_s: float = 0.1
    update_interval_s: float = 1.0


TUNABLES = PresenceTunables()


class PresenceChanged(ControlMessage, array_like=True, tag="presence"):
    """The levels of users (tenant, id, level) of this node: 0 offline, 1 away, 2 online."""

    node: str
    changes: list[tuple[str, str, int]]

    async def apply(self, receiver: Receiver) -> None:
        receiver.services.get(Presence).apply_changes(self.node, self.changes)


class PresenceRegistered(ControlMessage, array_like=True, tag="presences"):
    """A node has written the levels of all of its users to Redis."""

    async def apply(self, receiver: Receiver) -> None:
        receiver.services.get(Presence).reload_soon()


class PresenceVisibilityChanged(ControlMessage, array_like=True, tag="shown"):
    """Other viewers than before may see these users."""

    tenant: str
    users: list[str]

    async def apply(self, receiver: Receiver) -> None:
        receiver.services.get(Presence).mark_changed(self.tenant, self.users)


class Presence:
    """The service. `run` it as long as the node lives."""

    def __init__(
        self,
        grace: float,
        shown_to: str,
        db: Postgres,
        redis: Redis,
        hub: Hub,
        cluster: Cluster,
        clock: Callable[[], int],
        tunables: PresenceTunables = TUNABLES,
    ) -> None:
        self._tunables = tunables
        self._grace = grace
        self._db = db
        self._hub = hub
        self._cluster = cluster
        self._clock = clock
        self._heartbeat_s = cluster.times.check_s
        self._min_lease_s = MIN_LEASE_BEATS * self._heartbeat_s
        self._store = PresenceStore(redis, cluster.name, max(grace, self._min_lease_s))
        self._local = LocalPresence(hub, grace)
        self._subscriptions = PresenceSubscriptions(self._local, cluster.name)
        self.visibility = PresenceVisibility(hub, db, self._subscriptions, shown_to)
        # When users were last seen (milliseconds), until it is in the database.
        self._last_seen: dict[UserKey, int] = {}
        self._saving = trio.Lock()
        self._save_at = 0.0
        self._is_written = False
        self._must_reload = False
        self._settled_at = trio.current_time()
        signals = hub.signals
        signals.on_sync(SessionRemoved, self._on_session_removed)
        signals.on_sync(VisibilityChanged, lambda signal: self.refresh_visibility(signal.tenant, signal.users))
        signals.on(NodeLeft, lambda _: self.leave())
        signals.on_sync(Resync, self.reload_soon)

    # --- commands -------------------------------------------------------------------------------------------------

    def set_away(self, session: str, user: UserKey, *, away: bool) -> None:
        """Set whether a session of this node is away. Raises Refused."""
        self._check_session(session)
        self._local.set_away(user, session, away)

    def _check_session(self, session: str) -> None:
        if session not in self._hub.connections.by_id:
            raise Refused("bad_request", "this command needs a session")

    async def watch(self, session: str, viewer: str, targets: Sequence[Target]) -> list[PresenceState]:
        """Subscribe the session to these targets only, and return their states.

        After Refused it has no subscription.
        """
        self._check_session(session)
        self._subscriptions.subscribe(session, targets)
        try:
            levels = await self.levels([target.user for target in targets])
            states = await self.visibility.states(viewer, targets, levels)
        except Refused:
            self._subscriptions.subscribe(session, [])
            raise
        for target, state in zip(targets, states, strict=True):
            level = levels[target.user]
            self._subscriptions.note_sent(session, target, OFFLINE if state.status == "offline" else level, level)
        return states

    async def levels(self, users: Sequence[UserKey]) -> dict[UserKey, int]:
        """The levels of users, without regard to visibility. Without Redis, as far as this node knows them."""
        subscriptions = self._subscriptions
        unknown = [user for user in users if user not in subscriptions.watched or not subscriptions.watched[user].known]
        reported: Mapping[str, Mapping[UserKey, int]] = {}
        version = subscriptions.version
        try:
            reported = await self._store.levels(unknown) if unknown else {}
            subscriptions.apply_levels(reported, unknown, version)
        except Refused:
            self._must_reload = True
        others = [levels for node, levels in reported.items() if node != self._cluster.name]
        return {
            user: max([subscriptions.level(user), *(levels.get(user, OFFLINE) for levels in others)]) for user in users
        }

    def refresh_visibility(self, tenant: str, users: Sequence[str]) -> None:
        """Send updates of these users on all nodes, because other viewers may see them now."""
        self._cluster.publish(PresenceVisibilityChanged(tenant, list(users)))
        self.mark_changed(tenant, users)

    # --- this node's users ----------------------------------------------------------------------------------------

    def _on_session_removed(self, signal: SessionRemoved) -> None:
        self._local.on_session_removed(signal.session, trio.current_time())
        self._subscriptions.unsubscribe(signal.session)

    async def run(self, health: Health) -> None:
        async with trio.open_nursery() as nursery:
            health.start(nursery, "presence updates", self._run_updates)
            heartbeat_at = 0.0
            while True:
                await self._publish_changes()
                if trio.current_time() >= heartbeat_at:
                    heartbeat_at = trio.current_time() + self._heartbeat_s
                    await self._heartbeat(nursery)
                await trio.sleep(self._tunables.poll_s)

    async def _publish_changes(self) -> None:
        """Write what has changed to Postgres and Redis, and publish it to the other nodes."""
        left = self._clock() - int(self._grace * 1000)
        self._last_seen |= dict.fromkeys(self._local.end_grace_periods(trio.current_time()), left)
        await self._save()
        changed, self._local.changed = list(self._local.changed), {}
        self._subscriptions.mark_changed(changed)
        for at in range(0, len(changed), BATCH_SIZE):
            levels = [(user, self._local.level(user)) for user in changed[at : at + BATCH_SIZE]]
            await self._write(levels)
            changes = [(tenant, id_, level) for (tenant, id_), level in levels]
            self._cluster.publish(PresenceChanged(self._cluster.name, changes))

    async def _write(self, levels: Sequence[tuple[UserKey, int]]) -> None:
        """Write changed levels to Redis. After a failure, all levels are written once it is back."""
        if self._is_written:
            try:
                await self._store.write(levels)
            except Refused:
                self._on_redis_failure()

    def _on_redis_failure(self) -> None:
        """Write all levels again, and expire no node before the others have had time to renew their leases."""
        self._is_written = False
        self._settled_at = trio.current_time() + self._min_lease_s

    async def _save(self) -> None:
        """Save when users were last seen. After a failure, try again later."""
        async with self._saving:
            while self._last_seen and trio.current_time() >= self._save_at:
                part = dict(islice(self._last_seen.items(), BATCH_SIZE))
                for user in part:
                    del self._last_seen[user]
                try:
                    await self._save_seen(list(part.items()))
                except Exception as error:
                    self._save_at = trio.current_time() + RETRY_S
                    # A user may have been seen again since.
                    self._last_seen = dict(list((part | self._last_seen).items())[-MAX_UNSAVED:])
                    if not isinstance(error, Refused):
                        raise

    async def leave(self) -> None:
        """Save when the users of this node were last seen, because it stops."""
        self._last_seen |= dict.fromkeys(self._local.users(), self._clock())
        await self._save()

    async def _save_seen(self, seen: Sequence[tuple[UserKey, int]]) -> None:
        tenants, users = [user[0] for user, _ in seen], [user[1] for user, _ in seen]
        await self._db.run(SQL.save, tenants, users, [at for _, at in seen])

    async def _heartbeat(self, nursery: trio.Nursery) -> None:
        """Renew the lease and note the other nodes. Data that Redis has lost or not stored is written again."""
        try:
            ready = trio.current_time() >= self._settled_at
            reply = await self._store.heartbeat(remove_expired=ready) if self._is_written else None
            if reply is None:
                await self._register()
                return
            if reply.expired is not None:
                nursery.start_soon(self._remove_expired, reply.expired)
            self._subscriptions.set_nodes(reply.nodes)
            if self._must_reload:
                await self._reload()
        except Refused:
            self._on_redis_failure()

    async def _register(self) -> None:
        """Write the levels of all users of this node. Raises Refused."""
        await self._store.register((user, self._local.level(user)) for user in self._local.users())
        self._is_written = True
        self._cluster.publish(PresenceRegistered())

    async def _remove_expired(self, expired: ExpiredNode) -> None:
        """Save when the users of a dead node were last seen, and remove the node."""
        with suppress(Refused):
            async for users in self._store.users_of(expired.node):
                await self._save_seen([(user, expired.since) for user in users])
            if await self._store.remove_expired(expired):
                LOG.info("removed a dead node", extra={"node": expired.node})

    # --- other nodes ----------------------------------------------------------------------------------------------

    def reload_soon(self, _: object = None) -> None:
        """Read the levels of watched users with the next heartbeat: control messages may have been lost."""
        self._must_reload = True

    async def _reload(self) -> None:
        """Read the levels of watched users from the store. Raises Refused."""
        users, version = list(self._subscriptions.watched), self._subscriptions.version
        self._must_reload = False
        try:
            self._subscriptions.apply_levels(await self._store.levels(users), users, version)
        except Refused:
            self._must_reload = True
            raise

    def apply_changes(self, node: str, changes: Sequence[tuple[str, str, int]]) -> None:
        """Apply changes that another node has published: tenant, id, level."""
        for tenant, user, level in changes:
            self._subscriptions.on_report(node, (tenant, user), level)

    def mark_changed(self, tenant: str, users: Sequence[str]) -> None:
        """Send updates of these users to sessions of this node."""
        self._subscriptions.mark_changed((tenant, user) for user in users)

    async def _run_updates(self) -> None:
        """Send updates. Runs until it is cancelled."""
        while True:
            await trio.sleep(self._tunables.poll_s)
            due = self._subscriptions.take_due(trio.current_time(), self._tunables.update_interval_s)
            try:
                await self.visibility.send_updates(due)
            except Exception as error:
                self._subscriptions.mark_changed(due)
                if not isinstance(error, Refused):
                    raise
                await trio.sleep(RETRY_S)

    def statistics(self) -> dict[str, int]:
        return self._local.statistics() | self._subscriptions.statistics()
