"""Actions on their way to a bot: at least once, until the bot takes them or they are too old.

An action is sent when it is committed, and again at growing intervals; a bot that has connected asks for those that it
has missed. All of them have the same id. It is taken when the bot answers or acknowledges it.
"""

from collections import Counter
from contextlib import suppress
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from chatd.actions.settings import ActionSettings
from chatd.app.context import Ctx, Node, system_context
from chatd.app.effects import Effects, Reply, ToUser, deliver
from chatd.app.registry import command
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.wire.base import Command, Event, Id, Limit, Millis, Ok, Result
from chatd.wire.reference.examples import Example

SQL = queries.load("actions/actions")
FIRST_RETRY_MS, MAX_RETRY_MS = 10_000, 300_000
ROUND_SIZE = 200
MAX_TAKEN = 200
OUTCOMES = ("pressed", "answered", "sent_again", "expired")


class Counts(Counter[str]):
    """What has become of actions on this node, by `OUTCOMES`. Found in `Node.services`."""

    def add(self, outcome: str, number: int = 1) -> None:
        self[outcome] += number


class Action(Event, tag="action"):
    """A user has pressed a button of a message that this bot has sent. `data` is that of the button.

    It is sent again under the same `id` until the bot takes it, by bot.notify or bot.ack: handle each `id` once.
    """

    id: Id
    conversation: Id
    message: Id
    user: Id
    data: str
    at: Millis
    EXAMPLE: ClassVar = Example(data="accept:17")


class PendingAction(Struct, kw_only=True, frozen=True):
    """The content of an event `action` that the bot has not taken."""

    id: Id
    conversation: Id
    message: Id
    user: Id
    data: str
    at: Millis
    EXAMPLE: ClassVar = Example(data="accept:17")


class ListActions(Command, tag="bot.actions"):
    """List the actions that the bot has not taken, the oldest first. Call it when you have connected, and after
    `session.behind`. `cursor`: from the page before.
    """

    cursor: Id | None = None
    limit: Limit = 100


class PendingActions(Result, tag="bot.actions"):
    """Actions that the bot has not taken. `cursor` is null on the last page."""

    items: list[PendingAction]
    cursor: Id | None


@command(ListActions, result=PendingActions, http="GET /v1/bot/actions")
async def list_actions(ctx: Ctx, cmd: ListActions) -> Effects:
    rows = await ctx.node.db.all(SQL.pending, ctx.tenant, ctx.user, cmd.cursor, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [PendingAction(**dict(row)) for row in page]
    return [Reply(PendingActions(items=items, cursor=items[-1].id if more else None))]


class TakeActions(Command, tag="bot.ack"):
    """Acknowledge actions: the bot has handled them, and does not get them again. bot.notify does it, too."""

    actions: Annotated[list[Id], Meta(min_length=1, max_length=MAX_TAKEN)]


@command(TakeActions, result=Ok, refuses=("not_found",), http="POST /v1/bot/actions/ack")
async def take_actions(ctx: Ctx, cmd: TakeActions) -> Effects:
    """`not_found`: none of them is an action of this bot, or they are too old."""
    if not await ctx.node.db.all(SQL.take, ctx.tenant, ctx.user, cmd.actions):
        raise Refused("not_found", "no such action")
    return [Reply(Ok())]


async def send_again(node: Node) -> bool:
    """Send actions again that are due. Returns whether there may be more."""
    rows = await node.db.all(SQL.claim_due, FIRST_RETRY_MS, MAX_RETRY_MS, ROUND_SIZE)
    for row in sorted(rows, key=lambda row: str(row["id"])):
        fields = dict(row)
        ctx = system_context(node, fields.pop("tenant"), fields.pop("bot"))
        # One that cannot be sent is sent at its next time.
        with suppress(Refused):
            await deliver(ctx, [ToUser(ctx.user, Action(**fields))])
            node.get(Counts).add("sent_again")
    return len(rows) == ROUND_SIZE


async def sweep(node: Node) -> bool:
    """Delete old actions. Returns whether there may be more."""
    keep_ms = round(node.config.get(ActionSettings).keep * 1000)
    row = await node.db.one(SQL.sweep, keep_ms, ROUND_SIZE)
    assert row is not None
    node.get(Counts).add("expired", row["pending"])
    return bool(row["deleted"] == ROUND_SIZE)
