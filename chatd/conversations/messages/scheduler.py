"""Sends scheduled messages at their time.

A node claims a few due messages for 20 seconds, sends them like any other message, and removes them. If the node dies
in between, another node claims them afterwards and sends them with the same client_id: a committed message is
recognized by it and not sent twice.
"""

from contextlib import suppress

import trio

from chatd.app.context import Node, system_context
from chatd.app.effects import ToUser, deliver
from chatd.conversations.messages.scheduling import to_input
from chatd.conversations.messages.sending import prepare
from chatd.core import log
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.wire.connection_events import ScheduleFailed

LOG = log.get(__name__)
SQL = queries.load("conversations/scheduling")
ROUND_SIZE = 50
# How long a node has for the messages it has taken, and when a message is retried whose outcome is unknown.
LEASE_MS, RETRY_MS = 20_000, 5_000


async def send_due(node: Node) -> bool:
    """Send due messages concurrently. Returns whether there may be more."""
    rows = await node.db.all(SQL.claim_due, LEASE_MS, ROUND_SIZE)
    async with trio.open_nursery() as nursery:
        for row in rows:
            nursery.start_soon(send_one, node, row)
    return len(rows) == ROUND_SIZE


async def send_one(node: Node, row: Row) -> None:
    """Send one message. If the database is unavailable, the message is claimed again after the lease."""
    with suppress(Refused):
        await send_scheduled(node, row)


async def send_scheduled(node: Node, row: Row) -> None:
    ctx = system_context(node, row["tenant"], row["sender"])
    try:
        if row["banned"]:
            raise Refused("banned")
        await deliver(ctx, [await prepare(ctx, to_input(row["conversation"], row["client_id"], row["body"]))])
    except Refused as refused:
        if refused.row.retryable:
            await node.db.run(SQL.retry_later, row["tenant"], row["id"], RETRY_MS)
        else:
            await mark_failed(node, row, refused.code)
    except Exception:
        LOG.exception("a scheduled message could not be sent", extra={"scheduled": row["id"]})
        await mark_failed(node, row, "internal")
    else:
        await node.db.run(SQL.delete_sent, row["tenant"], row["id"])


async def mark_failed(node: Node, row: Row, code: str) -> None:
    """Store the refusal for the list of the author, and send it to them."""
    if await node.db.value(SQL.mark_failed, row["tenant"], row["id"], code) is not None:
        event = ScheduleFailed(id=row["id"], conversation=row["conversation"], client_id=row["client_id"], code=code)
        await deliver(system_context(node, row["tenant"], row["sender"]), [ToUser(row["sender"], event)])
