"""Questions of the command line to all nodes, and the answers.

A question is an order on the bus (`announce` of `cluster/stream_entries`) with the id of a list in Redis; each node
puts its answer there, as JSON. The list is gone half a minute later, whoever asked. Answers are made by a task of their
own, so that the bus never waits for them, and are bounded: in number, in size, and in what may wait.
"""

import os
import resource
from contextlib import suppress
from typing import Any

import msgspec
import trio
from msgspec import Raw

from chatd import __version__
from chatd.accounts.keys import token_keys
from chatd.app.context import Node
from chatd.app.maintenance import Maintenance
from chatd.cluster import control_messages
from chatd.conversations.log.writer import MessageLog
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.secrets import fingerprint
from chatd.db.redis import Redis
from chatd.matching.service import Matcher
from chatd.operations.node_query_types import Answer, Health, Sessions
from chatd.operations.process import open_descriptors
from chatd.realtime.message_trace import Trace
from chatd.realtime.subscriptions import Session
from chatd.uploads.blobs import Blobs

LOG = log.get(__name__)

MOST_WAITING = 16
MOST_BYTES = 1_048_576
MOST_SESSIONS = 1000
MOST_ANSWERS = 1000
MAX_LIST_BYTES = 16 * 1024 * 1024
KEPT = 30
# Users that a line of the log names.
MOST_NAMED = 10
# Milliseconds after which somebody who was kicked is asked to come back.
COME_BACK = 1000
TOO_MUCH = "the answer is too large; ask for less"
# KEYS: the list, the bytes in it; ARGV: the answer, seconds that it is kept, most answers, most bytes.
PUT = """
local fits = redis.call('llen', KEYS[1]) < tonumber(ARGV[3])
if fits and redis.call('incrby', KEYS[2], #ARGV[1]) <= tonumber(ARGV[4]) then redis.call('rpush', KEYS[1], ARGV[1]) end
redis.call('expire', KEYS[1], ARGV[2])
redis.call('expire', KEYS[2], ARGV[2])
"""


class Questions:
    """Hears them from now on; `run` answers them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._secrets = fingerprint(node.config.data.secret, token_keys(node.config))
        self._uploads = ""
        self._send, self._waiting = trio.open_memory_channel[control_messages.Question](MOST_WAITING)
        for kind in (
            control_messages.AskHealth,
            control_messages.AskSessions,
            control_messages.AskKick,
            control_messages.AskTrace,
        ):
            node.cluster.on(kind, self._take)

    async def _take(self, question: control_messages.Question) -> None:
        try:
            self._send.send_nowait(question)
        except trio.WouldBlock:
            LOG.warning("too many questions wait for an answer; one was dropped")

    async def run(self) -> None:
        """For ever. Whatever goes wrong with an answer, the node goes on."""
        with suppress(Refused):
            self._uploads = await self._node.get(Blobs).identity()
        async for question in self._waiting:
            try:
                await put_answer(self._node.redis, question.reply, self._node.cluster.name, self.answer(question))
            except Refused:
                continue
            except Exception:
                LOG.exception("a question could not be answered")

    def answer(self, question: control_messages.Question) -> Health | Sessions | Trace:
        hub = self._node.hub
        match question:
            case control_messages.AskHealth():
                return self._health()
            case control_messages.AskSessions(_, tenant, user, session, limit):
                return lines(hub.find(tenant, user, session), limit)
            case control_messages.AskKick(_, tenant, user, session):
                return kick(hub.find(tenant, user, session)) if user or session else Sessions(0, [])
            case control_messages.AskTrace(_, message, conversation, rev, seq):
                trace = hub.traces.find(message, conversation, rev, seq)
                if trace.order is not None:
                    trace.published_at = self._node.cluster.bus.written_at(trace.order)
                return trace

    def _health(self) -> Health:
        node, bus = self._node, self._node.cluster.bus
        hub, journal = node.hub.statistics(), node.get(MessageLog).statistics()
        return Health(
            version=__version__,
            at=node.clock(),
            process=os.getpid(),
            sessions=hub["sessions"],
            users=hub["users"],
            owns_pool=node.get(Matcher).pool.held,
            mirror_stale=node.get(Matcher).pool.is_stale,
            bus_waiting=bus.waiting,
            bus_gaps=bus.gaps,
            bus_gap_at=bus.gap_at,
            journal_waiting=journal["waiting"],
            journal_failures=journal["failures"],
            descriptors=open_descriptors(),
            most_descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            maintenance=node.get(Maintenance).enabled,
            secrets=self._secrets,
            uploads=self._uploads,
            failing={condition.name: condition.cause for condition in node.health.failing},
        )


def lines(sessions: list[Session], limit: int) -> Sessions:
    """The first ones, and how many there are."""
    most = max(0, min(limit, MOST_SESSIONS))
    return Sessions(len(sessions), [session.statistics() for session in sessions[:most]])


def kick(sessions: list[Session]) -> Sessions:
    """Close them. As for a drain: the client comes back by itself, and with its position."""
    closed = lines(sessions, MOST_SESSIONS)
    if sessions:
        users = sorted({session.user for session in sessions})
        LOG.info("sessions were kicked", extra={"sessions": len(sessions), "users": ", ".join(users[:MOST_NAMED])})
    for session in sessions:
        session.close_soon("going_away", f"retry_in_ms={COME_BACK}")
    return closed


async def put_answer(redis: Redis, reply: str, node: str, answer: Any) -> None:
    """Raises Refused."""
    data = msgspec.json.encode(Answer(node, Raw(msgspec.json.encode(answer))))
    if len(data) > MOST_BYTES:
        data = msgspec.json.encode(Answer(node, error=TOO_MUCH))
    keys = redis.key("answers", reply), redis.key("answers", reply, "bytes")
    await redis.call("EVAL", PUT, 2, *keys, data, KEPT, MOST_ANSWERS, MAX_LIST_BYTES)
