"""Whether somebody is a member. A session that hears the conversation is; everybody else is looked up."""

from typing import Protocol

from chatd.app.context import Ctx
from chatd.core.errors import Refused
from chatd.db import queries

SQL = queries.load("conversations/members")


class OfConversation(Protocol):
    """A command that names a conversation."""

    @property
    def conversation(self) -> str: ...


async def check_member(ctx: Ctx, command: OfConversation) -> None:
    """Raises Refused: `not_found` alike for what does not exist and for what one may not know of."""
    if ctx.session and ctx.node.hub.subscriptions.is_subscribed(ctx.session, command.conversation):
        return
    if await ctx.node.db.one(SQL.is_member, ctx.tenant, command.conversation, ctx.user) is None:
        raise Refused("not_found", "no such conversation")
