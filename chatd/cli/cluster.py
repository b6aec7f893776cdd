"""Send control messages and queries to the running nodes. `chatd/operations/node_queries.py` answers the queries."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
import trio
import typer
from msgspec import Struct

from chatd.cli.common import exit_failed
from chatd.cli.databases import redis_alone
from chatd.cli.printing import warn
from chatd.cluster import control_messages
from chatd.cluster.control_messages import ControlMessage
from chatd.cluster.stream_entries import announce, recent
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.errors import Refused, cause_of
from chatd.core.ids import uuid7
from chatd.db.redis import Redis
from chatd.operations.node_queries import NodeQuery
from chatd.operations.node_query_types import Answer

T = TypeVar("T")
# Seconds that nodes have to answer, and between two polls of the list.
ANSWER_TIMEOUT_S, POLL_S = 2.0, 0.02
NO_ANSWER = "no answer within 2 seconds"


class NodeAnswer(Struct, Generic[T]):
    """The answer of one node. It was made between `requested_at` and `received_at`, in milliseconds of this machine's
    clock.
    """

    answer: T
    requested_at: int
    received_at: int


class Answers(Struct, Generic[T]):
    """Answers by the name of the node. `silent`: running nodes that did not answer in time or completely, and why."""

    nodes: dict[str, NodeAnswer[T]]
    silent: dict[str, str]


async def notify_nodes(config: Config, message: ControlMessage) -> None:
    """Send a control message about a committed change. If it cannot be sent, the command does not fail."""
    async with redis_alone(config) as redis:
        try:
            await announce(redis, uuid7(now_ms()), control_messages.encode(message))
        except Refused as refused:
            why = f"{refused.message}{cause_of(refused)}"
            warn(
                f"the change is stored, but the nodes could not be notified: {why}. They read it from Postgres "
                "within ten seconds"
            )


async def close_sessions(config: Config, tenant: str, user: str, close: str, at: int) -> None:
    """Close the sessions of a user on all nodes.

    `at`: when the reason was committed, in milliseconds; the time until they are closed is measured from there.
    """
    await notify_nodes(config, control_messages.CloseUserSessions(tenant, user, close, None, at))


async def query_nodes(redis: Redis, query: Callable[[str], NodeQuery], kind: type[T], seconds: int = 3) -> Answers[T]:
    """Query all nodes, and wait for the nodes that were running `seconds` ago, or until the timeout.

    Raises Refused.
    """
    reply, requested_at = uuid7(now_ms()), now_ms()
    found: Answers[T] = Answers({}, dict.fromkeys(await recent(redis, seconds), NO_ANSWER))
    await announce(redis, reply, control_messages.encode(query(reply)))
    with trio.move_on_after(ANSWER_TIMEOUT_S):
        while NO_ANSWER in found.silent.values():
            data = await redis.call("LPOP", redis.key("answers", reply))
            if data is None:
                await trio.sleep(POLL_S)
            else:
                store_answer(found, data, kind, requested_at)
    return found


def store_answer(found: Answers[T], data: bytes, kind: type[T], requested_at: int) -> None:
    """Read one answer. An answer that cannot be read comes from another version, or not from a node."""
    try:
        answer = msgspec.json.decode(data, type=Answer)
    except msgspec.DecodeError:
        return
    found.silent.pop(answer.node, None)
    if answer.error:
        found.silent[answer.node] = answer.error
        return
    try:
        found.nodes[answer.node] = NodeAnswer(msgspec.json.decode(answer.answer, type=kind), requested_at, now_ms())
    except msgspec.ValidationError:
        found.silent[answer.node] = "this version of chatd cannot read its answer"


def check_nodes(found: Answers[T]) -> None:
    """Print a warning about nodes that did not answer. Raises typer.Exit if no node is running."""
    for node, why in found.silent.items():
        warn(f"node {node}: {why}")
    if not found.nodes and not found.silent:
        raise no_node()


def no_node() -> typer.Exit:
    """Print that no node is running. Returns the exception to raise."""
    return exit_failed(
        "no node is running on this Redis and prefix; check redis.url and redis.prefix, or start one with `chatd serve`"
    )
