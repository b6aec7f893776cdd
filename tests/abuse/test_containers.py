"""Each container of a running daemon has a rule that bounds it; a new container without a rule fails here.

A subsystem may declare rules in CONTAINERS of `tests/<subsystem>/declares.py`, see `tests/declarations.py`.
"""

import gc
import re
import sys
from collections import deque
from collections.abc import Iterator
from math import inf, prod
from pkgutil import resolve_name
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config
from chatd.core.settings import effective_values
from chatd.matching.settings import MatchSettings
from chatd.presence.settings import PresenceSettings
from chatd.subsystems import setting_names
from tests.abuse.bounds import Fixed, Most, OneEach, Passing, Rule, Setting
from tests.bots.world import bots_of
from tests.declarations import declared
from tests.event_streams.streams import event_stream
from tests.privacy.test_erased_traces import say_everywhere
from tests.support import PATIENCE, Daemon, running

CONTAINERS = (dict, set, list, deque, bytearray, WeakSet, WeakKeyDictionary, WeakValueDictionary)
NOT_THE_SERVER = ("chatd.client", "chatd.cli")
# The name of a class, and one of its attributes.
Place = str
# What bounds the number of each owner: the product of these.
OWNERS: dict[str, tuple[Most | Setting, ...]] = {
    "command": (Setting("limits.connections"),),
    "conversation behind": (Most("search.backlog.MAX_NOTED"),),
    "disconnected user": (Setting("limits.accepts_per_second"), Setting("presence.grace")),
    "entry of the log": (Setting("message_log.waiting"),),
    "handshake": (Setting("limits.pending_handshakes"),),
    "HTTP connection": (Most("http.server.TUNABLES.max_connections"),),
    "match": (Setting("limits.connections"),),
    "reader": (Most("conversations.unread_counters.MAX_WAITING"),),
    "rejected connection": (
        Setting("limits.pending_handshakes"),
        Most("gateway.admission.REJECTIONS_PER_HANDSHAKE"),
    ),
    "refused HTTP connection": (Most("http.server.TUNABLES.max_refusals"),),
    "session": (Setting("limits.connections"),),
    "subscription": (Setting("limits.connections"), Setting("limits.conversations_per_user")),
    "ticket": (Setting("limits.connections"),),
    "unsaved time": (Most("presence.service.MAX_UNSAVED"),),
    "upload": (Most("uploads.admission.MAX_FILES"),),
}
# Subclasses of classes of libraries (asyncpg, Quart), which own their attributes.
OF_LIBRARIES = {"chatd.db.postgres.Session", "chatd.http.app.Route"}
# Objects that live as long as a frame, a command, a request, a connection, a look at the event log, or a
# batch of the indexer.
BRIEF = {
    "chatd.conversations.log.entries.Entry", "chatd.conversations.log.publisher.InFlight",
    "chatd.conversations.messages.sending.SendMessage", "chatd.conversations.messages.sending.Content",
    "chatd.gateway.handshake.Handshake", "chatd.gateway.send_queue.SendQueue", "chatd.http.hypercorn_patches.SteadyHttp1",
    "chatd.http.hypercorn_patches.SteadyServer",
    "chatd.operations.health.Service", "chatd.realtime.pending_session.PendingSession", "chatd.http.large_bodies.Request",
    "chatd.matching.control_messages.TicketsClosed", "chatd.matching.criteria.Accept", "chatd.matching.criteria.Ticket",
    "chatd.matching.event_log_audit.LoggedMatches", "chatd.matching.pool_events.Paired",
    "chatd.matching.event_log.Entry", "chatd.search.indexer.Batch",
    "chatd.realtime.feeds.ConversationFeed", "chatd.db.fair_share.Slots",
}  # fmt: skip
# The contents of these modules are declared in the code or the configuration.
DECLARED = re.compile(
    r"chatd\.(core\.(config|setting_names|services|signals)|[a-z]+\.settings|wire(\..*)?|app\.(registry|personal_data)|db\.queries)\.[A-Z]"
)
CODES, NODES = OneEach("code or name in the source"), OneEach("node that is known")
RULES: dict[Place, Rule] = declared("CONTAINERS") | {
    "accounts.keys.Keyring._verified": Most("accounts.keys.MAX_CACHED"),
    "accounts.keys.Keyring.tenants": Fixed(),
    "accounts.session_states.SessionStates._waiting": Passing("handshake"),
    "accounts.keys.TenantKeys.keys": OneEach("key of a key set, whose bytes are bounded"),
    "app.command_metrics.CommandMetrics.closes": CODES,
    "app.command_metrics.CommandMetrics.commands": CODES,
    "app.command_metrics.CommandMetrics.refusals": CODES,
    "app.rate_limits.Buckets._values": Most("app.rate_limits.MAX_USERS"),
    "app.rate_limits.Recent._values": Most("app.rate_limits.MAX_USERS"),
    "cluster.bus.Bus._unacked": NODES,
    "cluster.bus.Bus._numbers": NODES,
    "cluster.bus.Bus._waiting": Most("cluster.bus.MAX_WAITING"),
    "cluster.bus.Bus._seen": NODES,
    "cluster.bus.Bus._acked_by": NODES,
    "cluster.bus.Bus.writes": Most("cluster.bus.MAX_WRITES"),
    "cluster.lookup.ClusterLookup._sought": Passing("command"),
    "cluster.lookup.ClusterLookup._inquiries": Passing("command"),
    "cluster.reconciler.Reconciler._checks": Fixed(),
    "cluster.reconciler.Reconciler._sweep_checks": Fixed(),
    "cluster.reconciler.Reconciler._suspects": Most("cluster.reconciler.MAX_SUSPECTS"),
    "cluster.reconciler.Reconciler._later_horizons": OneEach("check of the peer watch within PUBLISHED_WITHIN_S"),
    "cluster.stream_window.StreamWindow._entries": Most("matching.event_log.MAX_ENTRIES"),
    "conversations.log.deferred.DeferredConversations.keys": Passing("entry of the log"),
    "conversations.log.publisher.Publisher._flights": Passing("entry of the log"),
    "conversations.log.writer.MessageLog._shards": Fixed(),
    "conversations.log.writer.Shard._open": Setting("message_log.waiting"),
    "conversations.messages.typing.TypingSessions._typing": Passing("session"),
    "conversations.unread_counters.UnreadCounters._waiting": Passing("reader"),
    "core.health.Health.conditions": OneEach("service or server"),
    "core.health.Sparse._seen": Most("core.health.MAX_VALUES"),
    "core.histogram.Histogram.counts": OneEach("bucket, of which there are as many as BOUNDS"),
    "core.histogram.LongHistogram.counts": OneEach("bucket, of which there are as many as LONG_BOUNDS"),
    "db.stale_statistics.Statistics._repeats": OneEach("table"),
    "db.fair_share.FairShare._slots": Passing("command"),
    "db.postgres.Postgres._idle": Setting("postgres.pool"),
    "db.postgres_faults.Faults._conditions": Fixed(),
    "db.postgres.Postgres._connections": OneEach("connection of the pool, the log, a service or a job"),
    "db.postgres_faults.Faults.open": CODES,
    "db.redis.Redis.unreadable": CODES,
    "gateway.admission.Admission.refused": CODES,
    "gateway.admission.SlotCounter._by_key": Passing("session"),
    "gateway.endpoint.GatewayEndpoint._codecs": Fixed(),
    "gateway.listener.Listener._reading": Passing("session"),
    "gateway.session.SessionDeps.rows": Fixed(),
    "gateway.early_rejections.EarlyRejections._peers": Passing("rejected connection"),
    "gateway.cork.Cork._queues": Passing("session"),
    "gateway.reactor.Reactor._ended": Passing("session"),
    "gateway.reactor.Reactor._sources": Passing("session"),
    "gateway.reactor.Reactor._unfinished": Passing("session"),
    "http.admin_tokens.Admins._admins": Fixed(),
    "http.admin_tokens.Admins._digests": Fixed(),
    "http.admin_tokens.Admins._tenants": Fixed(),
    "http.requests_under_way.RequestsUnderWay._scopes": Passing("HTTP connection"),
    "http.server.Server._per_address": Passing("HTTP connection"),
    "http.server.Server._refusals": Passing("refused HTTP connection"),
    "http.server.Server._streams": Passing("HTTP connection"),
    "http.slots.Slots._by_address": Passing("upload"),
    "http.slots.Slots._by_user": Passing("upload"),
    "matching.announcements.Announcements._deferred": Passing("session"),
    "matching.announcements.Announcements._deliveries": OneEach("announcement until its next write to Postgres"),
    "matching.announcements.Announcements._ended": Most("matching.announcements.MAX_ENDED"),
    "matching.announcements.Announcements.announced": Passing("session"),
    "matching.announcements.Announcements.unconfirmed": Passing("session"),
    "matching.announcements.Announcements.unverified": Passing("session"),
    "matching.disconnects.DisconnectReaper._banned": Passing("match"),
    "matching.disconnects.DisconnectReaper._disconnected": Passing("disconnected user"),
    "matching.disconnects.DisconnectReaper._missing": Passing("match"),
    "matching.event_log.PoolEventLog._erased": OneEach("user erased since the last write to the stream"),
    "matching.event_log.PoolEventLog._unwritten": Most("matching.event_log.MAX_UNWRITTEN"),
    "matching.event_log.PoolEventLog.open_matches": Passing("match"),
    "matching.local_tickets.LocalTickets._parked": Passing("disconnected user"),
    "matching.local_tickets.LocalTickets.active": Passing("ticket"),
    "matching.owned_pool.OwnedPool._queues": Fixed(),
    "matching.pairing.Pairing._in_commit": Passing("ticket"),
    "matching.pool.Pool._confirmed": Passing("ticket"),
    "matching.pool.Pool._in_pair": Passing("ticket"),
    "matching.pool.Pool._queues": Fixed(),
    "matching.pool.Pool._to_pair": Passing("ticket"),
    "matching.pool.Pool._used": Most("matching.pool.MAX_USED_TICKETS"),
    "matching.pool.Pool._wait_samples": Most("matching.pool.MAX_SAMPLED_QUEUES"),
    "matching.pool.Pool._wakeups": Passing("ticket"),
    "matching.pool.Pool.by_user": Passing("ticket"),
    "matching.pool.Pool.pairs": Passing("ticket"),
    "matching.pool.Pool.tickets": Passing("ticket"),
    "matching.pool_owner.PoolOwner._queues": OneEach("queue in a heartbeat of the owner: the hundred longest"),
    "matching.pool_owner.PoolOwner._unclaimed": Passing("ticket"),
    "matching.queue_index.QueueIndex._lists": Passing("ticket"),
    "matching.queue_index.QueueIndex._queues": Passing("ticket"),
    "matching.service.MatchingService._look_ups": OneEach("look-up that is planned, three at most"),
    "operations.health.Readiness._probes": Fixed(),
    "operations.health.Readiness._services": Fixed(),
    "operations.session_statistics.SessionStatistics.seconds": Fixed(),
    "presence.local_presence.LocalPresence._away": Passing("session"),
    "presence.local_presence.LocalPresence._grace_periods": Passing("disconnected user"),
    "presence.local_presence.LocalPresence.changed": Passing("session"),
    "presence.online_count.OnlineCount._cache": Most("presence.online_count.MAX_CACHED"),
    "presence.service.Presence._last_seen": Passing("unsaved time"),
    "presence.subscriptions.WatchedUser.remote": NODES,
    "presence.subscriptions.WatchedUser.subscribers": Passing("subscription"),
    "presence.subscriptions.PresenceSubscriptions._targets": Passing("subscription"),
    "presence.subscriptions.PresenceSubscriptions._misses": NODES,
    "presence.subscriptions.PresenceSubscriptions._reporters": NODES,
    "presence.subscriptions.PresenceSubscriptions.changed": Passing("subscription"),
    "presence.subscriptions.PresenceSubscriptions.watched": Passing("subscription"),
    "realtime.pending_session.PendingSessions._pending": Passing("handshake"),
    "realtime.feeds.Members.aliases": OneEach("member of a match"),
    "realtime.subscriptions.Subscriptions._feeds": Passing("subscription"),
    "realtime.subscriptions.Subscriptions._topics": Passing("session"),
    "realtime.gaps.Gaps._deferred": Passing("subscription"),
    "realtime.connections.Connections._by_user": Passing("session"),
    "realtime.connections.Connections.by_id": Passing("session"),
    "realtime.gaps.Gaps.since": Passing("subscription"),
    "realtime.message_trace.Traces._accepted": Most("realtime.message_trace.MAX_ENTRIES"),
    "realtime.message_trace.Traces._enqueued": Most("realtime.message_trace.MAX_ENTRIES"),
    "realtime.message_trace.Traces._receipts": Most("realtime.message_trace.MAX_ENTRIES"),
    "realtime.message_trace.Traces._skipped": Most("realtime.message_trace.MAX_ENTRIES"),
    "realtime.message_trace.Traces._delivered": Most("realtime.message_trace.MAX_ENTRIES"),
    "realtime.disconnect_latency.DisconnectLatency._expected": Passing("session"),
    "realtime.timer_wheel.TimerWheel._slots": Fixed(),
    "realtime.unheard_revs.UnheardRevs._revs": Most("realtime.unheard_revs.MAX_TOPICS"),
    "search.backlog.Backlog._behind": Passing("conversation behind"),
    "search.backlog.Backlog._fresh": Most("search.backlog.MAX_NOTED"),
    "search.indexer.Indexer._failed": Passing("conversation behind"),
    "search.notices.Notices._noted": Most("search.backlog.MAX_NOTED"),
    "uploads.admission.UploadSlots._held": Passing("upload"),
}


def fields_of(one: object) -> Iterator[tuple[str, Any]]:
    """Attributes of an object, with or without slots."""
    names = set(getattr(one, "__dict__", ()))
    for base in type(one).__mro__:
        slots = base.__dict__.get("__slots__", ())
        names |= {slots} if isinstance(slots, str) else set(slots)
    for name in names - {"__dict__", "__weakref__"}:
        if hasattr(one, name):
            yield name, getattr(one, name)


def objects() -> list[Any]:
    """All live objects of the server."""
    gc.collect()
    # A class may have an attribute of instances by this name.
    modules = ((one, str(type(one).__module__)) for one in gc.get_objects())
    return [one for one, module in modules if module.startswith("chatd.") and not module.startswith(NOT_THE_SERVER)]


def left_by_other_tests() -> list[Any]:
    """Objects that exist before the daemon starts, except those of modules."""
    of_modules = {
        id(value)
        for name, module in sys.modules.items()
        if name.startswith("chatd.")
        for value in vars(module).values()
    }
    return [one for one in objects() if id(one) not in of_modules]


def containers(but: list[Any]) -> Iterator[tuple[str, str, Any]]:
    """Class, attribute and container of all live objects of the server, except `but`."""
    others = set(map(id, but))
    for one in objects():
        if id(one) not in others:
            for name, value in fields_of(one):
                if isinstance(value, CONTAINERS):
                    yield f"{type(one).__module__}.{type(one).__qualname__}", name, value


def sizes(but: list[Any]) -> dict[Place, int]:
    """The largest container of each place that needs a rule."""
    found: dict[Place, int] = {}
    for owner, name, value in containers(but):
        if owner not in BRIEF | OF_LIBRARIES and not DECLARED.match(owner):
            place = f"{owner.removeprefix('chatd.')}.{name}"
            found[place] = max(found.get(place, 0), len(value))
    return found


def bound(rule: Rule, config: Config, before: int) -> float:
    """The maximum number of entries."""
    match rule:
        case Most(constant):
            return float(resolve_name(f"chatd.{constant}"))
        case Setting(name):
            return float(dict(effective_values(setting_names(), config))[name])
        case Fixed():
            return before
        case Passing(owner):
            return prod(bound(one, config, before) for one in OWNERS[owner])
        case _:
            return inf


async def use(daemon: Daemon, but: list[Any]) -> dict[Place, int]:
    """Users and a bot connect, run some of every command, and disconnect. Returns the sizes before they disconnect."""
    bots = await bots_of(daemon)
    async with daemon.people(2) as (alice, bob), bots.connected():
        await say_everywhere(alice, bob, daemon)
        direct = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        await bob.call("presence.watch", users=[alice.user])
        await bob.call("typing.start", conversation=direct)
        await bob.call("receipt.read", conversation=direct, seq=1)
        await alice.call("message.search", query="zq")
        await alice.call("match.cancel")
        for _ in range(20):
            await alice.call("match.find", queue="often")
            await alice.call("match.cancel")
        missing = await daemon.rest("GET", "/v1/nothing", token=alice.account.access_token)
        assert missing.status == 404
        async with event_stream(daemon, alice.account.access_token) as stream:
            await stream.event("connected")
            return sizes(but)


def left(before: dict[Place, int], but: list[Any]) -> dict[Place, int]:
    """Entries that should be gone but are not."""
    now = sizes(but)
    return {
        place: now[place]
        for place, rule in RULES.items()
        if isinstance(rule, Passing) and now.get(place, 0) > before.get(place, 0)
    }


async def test_every_owner_has_a_finite_bound(config: Config) -> None:
    """The setting or constant that bounds it exists, and each owner bounds a container."""
    passing = {rule.owner for rule in RULES.values() if isinstance(rule, Passing)}
    assert passing == set(OWNERS)
    assert all(0 < bound(Passing(owner), config, 0) < inf for owner in OWNERS)


@pytest.fixture
def brief(config: Config) -> Config:
    """Short timeouts, so that nothing waits long for a disconnected client."""
    presence, match = replace(config.get(PresenceSettings), grace=0.1), replace(config.get(MatchSettings), grace=0.1)
    return config.using(presence, match)


async def test_containers_are_bounded_as_declared(brief: Config) -> None:
    others = left_by_other_tests()
    async with running(brief) as daemon:
        before = sizes(others)
        during = await use(daemon, others)
        after = sizes(others)
        found = {place: max(sized.get(place, 0) for sized in (during, after)) for place in {*during, *after}}
        unknown, unused = {*before, *found} - set(RULES), set(RULES) - {*before, *found}
        assert (unknown, unused) == (set(), set())
        broken = {
            place: count for place, count in found.items() if count > bound(RULES[place], brief, before.get(place, 0))
        }
        assert broken == {}
        with trio.move_on_after(2 * PATIENCE):
            while left(before, others):
                await trio.sleep(0.2)
        assert left(before, others) == {}
