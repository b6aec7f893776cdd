"""Slow mode: one message of each member in so many seconds. What holds a message back is in migration 0010, in the journal."""

from chatd.errors import Refused
from chatd.node.context import Ctx
from chatd.node.effects import Effects, Reply, ToConversation
from chatd.node.registry import command
from chatd.store import queries
from chatd.wire.entities import SlowSeconds
from chatd.wire.messages import Command, Event, Id, Ok, Rev

SQL = queries.load("slow_mode")


class SlowConversation(Command, tag="conversation.slow"):
    """From now on a member may send one message in `seconds`; 0 ends it. Only for the creator of a group.

    Who is too early is refused `rate_limited`, with `retry_after`. Sending the same message again is never too early.
    """

    conversation: Id
    seconds: SlowSeconds


class ConversationSlowed(Event, tag="conversation.slow"):
    """The pause between two messages of a member has changed. For every session of every member."""

    conversation: Id
    slow_seconds: SlowSeconds
    rev: Rev


@command(
    SlowConversation,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="POST /v1/conversations/{conversation}/slow",
)
async def slow_conversation(ctx: Ctx, cmd: SlowConversation) -> Effects:
    """Refused `not_found` for who is no member, `forbidden` for who is not the creator of this group."""
    may_set = await ctx.node.db.value(SQL.standing, ctx.tenant, cmd.conversation, ctx.user)
    if may_set is None:
        raise Refused("not_found", "no such conversation")
    if not may_set:
        raise Refused("forbidden", "only the creator of a group may do that")
    rev = await ctx.node.db.value(SQL.set, ctx.tenant, cmd.conversation, cmd.seconds)
    if rev is None:
        return [Reply(Ok())]
    event = ConversationSlowed(conversation=cmd.conversation, slow_seconds=cmd.seconds, rev=rev)
    return [ToConversation(cmd.conversation, event, ack=Ok())]
