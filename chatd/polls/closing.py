"""The end of a poll: by its author or a moderator, or at its time.

Any node closes polls that are due, several at the same time: a poll is closed under the lock of its conversation, once.
The clock is that of the database, for the end as for votes.
"""

from contextlib import suppress

from chatd.app.context import Ctx, Node, system_context
from chatd.app.effects import Effects, Reply, ToConversation, deliver
from chatd.app.registry import command
from chatd.conversations.effects import update_event
from chatd.conversations.entities import Message
from chatd.conversations.log.transaction import SYSTEM_USER, ConversationTx, change_conversation
from chatd.conversations.messages.edits import MessageResult
from chatd.conversations.permissions import Right
from chatd.conversations.read_model import message_of
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.polls.metrics import PollCounts
from chatd.polls.state import Poll, poll_in
from chatd.polls.voting import Voted, open_poll, own_options, store, with_vote
from chatd.wire.base import Command, Id

SQL = queries.load("polls/polls")
ROUND_SIZE = 200


class ClosePoll(Command, tag="poll.close"):
    """Close a poll: nobody can vote any more, and the counts stay. Closing a closed poll changes nothing."""

    conversation: Id
    message: Id


@command(
    ClosePoll,
    result=MessageResult,
    refuses=("not_found", "conflict", "forbidden"),
    http="POST /v1/conversations/{conversation}/messages/{message}/poll/close",
    uncancellable=True,
)
async def close_poll(ctx: Ctx, cmd: ClosePoll) -> Effects:
    """`conflict`: the message was deleted or is not a poll. `forbidden`: another user has sent it, and the requester
    may not close polls of others.
    """
    closed = await change_conversation(ctx, cmd.conversation, close_by_user, cmd.message, allow_blocked=True)
    reply = Reply(MessageResult(message=closed.message))
    if closed.event is None:
        return [reply]
    ctx.node.get(PollCounts).closed["user"] += 1
    return [ToConversation(cmd.conversation, closed.event), reply]


async def close_by_user(tx: ConversationTx, message: str) -> Voted:
    """Close a poll. Raises Refused: `not_found`, `conflict`, `forbidden`."""
    row = await tx.message(message)
    poll = open_poll(row)
    if row["author"] != tx.user:
        tx.check(Right.CLOSE_POLLS)
    own = await own_options(tx, row["seq"])
    if poll.is_closed:
        return Voted(with_vote(message_of(row, tx.files_url), own["options"]), None)
    closed = await close(tx, message, row["seq"], poll, own["now"])
    return Voted(with_vote(closed, own["options"]), update_event(tx, closed, "close"))


async def close(tx: ConversationTx, message: str, seq: int, poll: Poll, now: int) -> Message:
    await tx.run(SQL.remove_deadline, seq)
    return await store(tx, message, seq, poll.closed(now))


async def close_due(node: Node) -> bool:
    """Close polls whose time is over. Returns whether there may be more."""
    rows = await node.db.all(SQL.due, ROUND_SIZE)
    for row in rows:
        ctx = system_context(node, row["tenant"], SYSTEM_USER)
        # The conversation may be deleted by now.
        with suppress(Refused):
            effects = await change_conversation(
                ctx, row["conversation"], close_still_due, row["seq"], allow_non_member=True, allow_blocked=True
            )
            node.get(PollCounts).closed["time"] += bool(effects)
            await deliver(ctx, effects)
    return len(rows) == ROUND_SIZE


async def close_still_due(tx: ConversationTx, seq: int) -> Effects:
    """Close a poll whose time is over, unless it is closed, or its message deleted."""
    row = await tx.one(SQL.poll, seq)
    if row is None or row["poll"] is None or poll_in(row["poll"]).is_closed:
        await tx.run(SQL.remove_deadline, seq)
        return []
    closed = await close(tx, row["id"], seq, poll_in(row["poll"]), row["now"])
    return [ToConversation(tx.conversation, update_event(tx, closed, "close"))]
