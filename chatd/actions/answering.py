"""Answers of bots to actions, which only the user sees who has pressed the button."""

from typing import Annotated, ClassVar

from msgspec import Meta

from chatd.actions.delivery import Counts
from chatd.actions.settings import ActionSettings
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import Command, Event, Id, Ok
from chatd.wire.reference.examples import Example
from chatd.wire.texts import PROSE

SQL = queries.load("actions/actions")


class Notify(Command, tag="bot.notify"):
    """Answer an action, once and within `actions.answer_within`. Only the user who has pressed the button sees `text`:
    in passing, or with `alert` until they dismiss it. This takes the action, see bot.ack.
    """

    action: Id
    text: Annotated[str, Meta(min_length=1, max_length=500, extra=PROSE)]
    alert: bool = False
    EXAMPLE: ClassVar = Example(text="Accepted.")


class ActionAnswer(Event, tag="action.answer"):
    """The bot has answered an action of the user. It is not stored. `alert`: show it until the user dismisses it."""

    action: Id
    conversation: Id
    message: Id
    text: str
    alert: bool
    EXAMPLE: ClassVar = Example(text="Accepted.")


@command(
    Notify,
    result=Ok,
    refuses=("not_found", "conflict"),
    http="POST /v1/bot/actions/{action}/answer",
    uncancellable=True,
)
async def notify(ctx: Ctx, cmd: Notify) -> Effects:
    """`not_found`: it is no action of this bot, or too old. `conflict`: it was answered already, or the time for an
    answer is over.
    """
    within_ms = round(ctx.node.config.get(ActionSettings).answer_within * 1000)
    key = (ctx.tenant, ctx.user, cmd.action)
    row = await ctx.node.db.one(SQL.answer, *key, within_ms)
    if row is None:
        if await ctx.node.db.one(SQL.exists, *key) is None:
            raise Refused("not_found", "no such action")
        raise Refused("conflict", "the action was answered already")
    if not row["is_in_time"]:
        raise Refused("conflict", f"an action can be answered for {within_ms // 1000} seconds: send a message instead")
    ctx.node.get(Counts).add("answered")
    answer = ActionAnswer(
        action=cmd.action, conversation=row["conversation"], message=row["message"], text=cmd.text, alert=cmd.alert
    )
    return [Reply(Ok()), ToUser(row["user"], answer)]
