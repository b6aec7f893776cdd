"""Whether somebody is a member. A session that hears the conversation is; everybody else is looked up."""

from chatd.app.context import Ctx
from chatd.core.errors import Refused
from chatd.db import queries

SQL = queries.load("members")


async def check_member(ctx: Ctx, conversation: str) -> None:
    """Raises Refused: `not_found` alike for what does not exist and for what one may not know of."""
    if ctx.session and ctx.node.hub.is_member(ctx.session, conversation):
        return
    if await ctx.node.db.one(SQL.is_member, ctx.tenant, conversation, ctx.user) is None:
        raise Refused("not_found", "no such conversation")
