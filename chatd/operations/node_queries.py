"""Queries of the command line to all nodes, and the answers.

A query is a control message with the id of a list in Redis, to which each node appends its answer as JSON. The list
expires after `LIST_TTL_S`. Answers are made by a task of their own, so that the bus never waits for them. Their number
and size are bounded.
"""

import os
import resource
from contextlib import suppress
from typing import Any

import msgspec
import trio
from msgspec import Raw, Struct

from chatd import __version__
from chatd.accounts.keys import token_keys
from chatd.app.context import Node
from chatd.app.maintenance import Maintenance
from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.conversations.log.writer import MessageLog
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.secrets import fingerprint
from chatd.db.redis import Redis
from chatd.matching.pool_owner import PoolOwner
from chatd.operations.node_query_types import Answer, Health, Sessions
from chatd.operations.process import open_descriptors
from chatd.realtime.message_trace import Trace
from chatd.realtime.sessions import Session
from chatd.uploads.blobs import Blobs

LOG = log.get(__name__)

MAX_WAITING = 16
MAX_ANSWER_BYTES = 1_048_576
MAX_SESSIONS = 1000
MAX_ANSWERS = 1000
MAX_LIST_BYTES = 16 * 1024 * 1024
LIST_TTL_S = 30
# Users that one line of the log names.
MAX_NAMED = 10
# Delay after which kicked clients reconnect.
RECONNECT_MS = 1000
TOO_MUCH = "the answer is too large; request less"


class NodeQuery(ControlMessage):
    """A query to all nodes. Each node appends its answer to the list in Redis that has the id `reply`."""

    reply: str

    async def apply(self, receiver: Receiver) -> None:
        receiver.services.get(NodeQueries).add(self)

    def answer(self, node: Node) -> Struct:
        """The answer of this node."""
        raise NotImplementedError


class AskHealth(NodeQuery, array_like=True, tag="ask-health"):
    """The health of the node."""

    def answer(self, node: Node) -> Health:
        bus, pool = node.cluster.bus, node.get(PoolOwner)
        hub, message_log = node.hub.statistics(), node.get(MessageLog).statistics()
        return Health(
            version=__version__,
            at=node.clock(),
            process=os.getpid(),
            sessions=hub["sessions"],
            users=hub["users"],
            owns_pool=pool.held,
            event_log_stale=pool.is_log_lagging,
            bus_waiting=bus.waiting,
            bus_gaps=bus.gaps,
            bus_gap_at=bus.gap_at,
            message_log_waiting=message_log["waiting"],
            message_log_failures=message_log["failures"],
            descriptors=open_descriptors(),
            most_descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            maintenance=node.get(Maintenance).enabled,
            secrets=node.get(NodeQueries).secrets,
            uploads=node.get(NodeQueries).uploads,
            failing={condition.name: condition.cause for condition in node.health.failing},
        )


class AskSessions(NodeQuery, array_like=True, tag="ask-sessions"):
    """The sessions of a tenant, at most `limit`: all, those of a user, or the one with this id."""

    tenant: str
    user: str | None
    session: str | None
    limit: int

    def answer(self, node: Node) -> Sessions:
        found = node.hub.connections.find(self.tenant, self.user, self.session)
        return session_list(found, min(self.limit, node.get(NodeQueries).max_sessions))


class AskKick(NodeQuery, array_like=True, tag="ask-kick"):
    """Close the sessions of a user, or the one with this id. The clients may reconnect. The answer: the closed
    sessions.
    """

    tenant: str
    user: str | None
    session: str | None

    def answer(self, node: Node) -> Sessions:
        if not self.user and not self.session:
            return Sessions(0, [])
        return kick(node.hub.connections.find(self.tenant, self.user, self.session), node.get(NodeQueries).max_sessions)


class AskTrace(NodeQuery, array_like=True, tag="ask-trace"):
    """What the node did with a message, which has this place in its conversation."""

    message: str
    conversation: str
    rev: int
    seq: int

    def answer(self, node: Node) -> Trace:
        trace = node.hub.traces.find(self.message, self.conversation, self.rev, self.seq)
        if trace.enqueued is not None:
            trace.published_at = node.cluster.bus.written_at(trace.enqueued)
        return trace


class NodeQueries:
    """Queues the queries of the command line; `run` answers them.

    `max_sessions`: in one answer. `max_answer_bytes`: a larger answer is replaced by an error.
    """

    def __init__(
        self, node: Node, *, max_sessions: int = MAX_SESSIONS, max_answer_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self._node = node
        self._max_answer_bytes = max_answer_bytes
        self.max_sessions = max_sessions
        self.secrets = fingerprint(node.config.data.secret, token_keys(node.config))
        # The identity of the node's upload store; "" until it is known.
        self.uploads = ""
        self._send, self._waiting = trio.open_memory_channel[NodeQuery](MAX_WAITING)

    def add(self, query: NodeQuery) -> None:
        try:
            self._send.send_nowait(query)
        except trio.WouldBlock:
            LOG.warning("too many queries are waiting for an answer; one was dropped")

    async def run(self) -> None:
        """Answer queries forever. A failure is logged, and the next query is answered."""
        with suppress(Refused):
            self.uploads = await self._node.get(Blobs).identity()
        async for query in self._waiting:
            try:
                answer = query.answer(self._node)
                await put_answer(self._node.redis, query.reply, self._node.cluster.name, answer, self._max_answer_bytes)
            except Refused:
                continue
            except Exception:
                LOG.exception("a query could not be answered")


def session_list(sessions: list[Session], limit: int) -> Sessions:
    """The first sessions, and the number of all."""
    return Sessions(len(sessions), [session.info() for session in sessions[: max(0, limit)]])


def kick(sessions: list[Session], limit: int) -> Sessions:
    """Close sessions as a drain does: the clients reconnect by themselves and resume."""
    closed = session_list(sessions, limit)
    if sessions:
        users = sorted({session.user for session in sessions})
        LOG.info("sessions were kicked", extra={"sessions": len(sessions), "users": ", ".join(users[:MAX_NAMED])})
    for session in sessions:
        session.request_close("going_away", f"retry_in_ms={RECONNECT_MS}")
    return closed


async def put_answer(redis: Redis, reply: str, node: str, answer: Any, max_bytes: int = MAX_ANSWER_BYTES) -> None:
    """Append an answer to the list of a query. Raises Refused."""
    data = msgspec.json.encode(Answer(node, Raw(msgspec.json.encode(answer))))
    if len(data) > max_bytes:
        data = msgspec.json.encode(Answer(node, error=TOO_MUCH))
    answers, size = redis.key("answers", reply), redis.key("answers", reply, "bytes")
    size_bytes, _ = await redis.transaction(("INCRBY", size, len(data)), ("EXPIRE", size, LIST_TTL_S))
    if size_bytes <= MAX_LIST_BYTES:
        await redis.transaction(
            ("RPUSH", answers, data), ("LTRIM", answers, 0, MAX_ANSWERS - 1), ("EXPIRE", answers, LIST_TTL_S)
        )
