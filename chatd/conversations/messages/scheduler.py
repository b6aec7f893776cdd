"""Scheduled messages when their time has come. They take the road of all others, and are judged as if they were sent just then.

A node takes a few for twenty seconds, sends them, and removes them. When it dies in the midst of it another node takes them after
that, and sends them with the same client_id: what was committed already is known by it, and is not sent twice.
"""

from contextlib import suppress
from typing import Any

import trio
from msgspec import ValidationError, convert

from chatd.app.context import Node, on_behalf
from chatd.conversations.entities import Json
from chatd.conversations.messages.sending import Outgoing, send
from chatd.core import log
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.wire.connection_events import ScheduleFailed

LOG = log.get(__name__)
SQL = queries.load("conversations/due")
ROUND = 50
# Milliseconds: how long a node may take over what it has taken, and when what could not be decided is tried again.
LEASE, AGAIN = 20_000, 5_000


def body_of(out: Outgoing) -> Json:
    """What is kept of a message until it is sent."""
    names = ("text", "attachments", "reply_to", "meta", "mentions", "everybody")
    return {name: getattr(out, name) for name in names}


def outgoing(conversation: str, client_id: str, body: Json) -> Outgoing:
    """And back."""
    return convert({"conversation": conversation, "client_id": client_id, **body}, Outgoing)


def readable(conversation: str, client_id: str, body: Any) -> Outgoing:
    """The same for the author's list: a body of another form, which other programs have stored, is an empty message there."""
    try:
        return outgoing(conversation, client_id, body)
    except (ValidationError, TypeError):
        return Outgoing(conversation=conversation, client_id=client_id)


async def send_due(node: Node) -> bool:
    """Send what is due, all at once. Whether there may be more."""
    rows = await node.db.all(SQL.take, LEASE, ROUND)
    async with trio.open_nursery() as nursery:
        for row in rows:
            nursery.start_soon(send_one, node, row)
    return len(rows) == ROUND


async def send_one(node: Node, row: Row) -> None:
    """What cannot be noted because the database is away is found again after the lease."""
    with suppress(Refused):
        await settle(node, row)


async def settle(node: Node, row: Row) -> None:
    try:
        if row["banned"]:
            raise Refused("banned")
        await send(on_behalf(node, row["tenant"], row["sender"]), outgoing(row["conversation"], row["client_id"], row["body"]))
    except Refused as refused:
        if refused.row.retryable:
            await node.db.run(SQL.later, row["tenant"], row["id"], AGAIN)
        else:
            await fail(node, row, refused.code)
    except Exception:
        LOG.exception("a scheduled message could not be sent", extra={"scheduled": row["id"]})
        await fail(node, row, "internal")
    else:
        await node.db.run(SQL.done, row["tenant"], row["id"])


async def fail(node: Node, row: Row, code: str) -> None:
    """The author is told, and finds it in the list."""
    if await node.db.value(SQL.failed, row["tenant"], row["id"], code) is not None:
        event = ScheduleFailed(id=row["id"], conversation=row["conversation"], client_id=row["client_id"], code=code)
        await node.cluster.deliver_to_user(row["tenant"], row["sender"], event)
