"""Threads of a user: which they follow, how far they have read them, and the replies.

Replies are sent with message.send; who follows a thread without a command is decided where replies are committed, see
`add_thread_replies` in sql/threads.
"""

from typing import Any

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import Guard, command
from chatd.conversations.entities import Message
from chatd.conversations.log.statements import refused_thread
from chatd.conversations.messages.sending import Messages
from chatd.conversations.read_model import message_of
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.postgres import Row
from chatd.wire.base import Command, Id, Limit, Result, Seq
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("threads/threads")


class Thread(Struct, kw_only=True, frozen=True):
    """A thread as the requester sees it. `thread` is its root.

    `unread`: replies of others after `read_seq`, up to 1000, in a thread that the requester follows.
    """

    conversation: Id
    thread: Message
    following: bool
    read_seq: Seq
    unread: int


class ThreadResult(Result, tag="thread"):
    """A thread as it is now."""

    thread: Thread


def thread_of(conversation: str, row: Row, files_url: str) -> Thread:
    return Thread(
        conversation=conversation,
        thread=message_of(row, files_url),
        following=row["following"],
        read_seq=row["read_seq"],
        unread=row["unread"],
    )


async def root_of(ctx: Ctx, conversation: str, message: str) -> Row:
    """The root of a thread. Raises Refused: `not_found` for a message that the requester cannot see."""
    row = await ctx.node.db.one(SQL.root, ctx.tenant, conversation, ctx.user, message)
    if row is None:
        raise Refused("not_found", "no such message")
    return row


async def thread_reply(ctx: Ctx, conversation: str, root_seq: int) -> Reply:
    """The answer with the thread. Raises Refused: `not_found`."""
    row = await ctx.node.db.one(SQL.state, ctx.tenant, conversation, ctx.user, root_seq)
    if row is None:
        raise Refused("not_found", "no such message")
    return Reply(ThreadResult(thread=thread_of(conversation, row, ctx.files_url)))


class FollowThread(Command, tag="thread.follow"):
    """Follow the thread of a message, so that thread.list has it. Its replies until now count as read."""

    conversation: Id
    thread: Id


@command(
    FollowThread,
    result=ThreadResult,
    refuses=("not_found", "conflict"),
    http="PUT /v1/conversations/{conversation}/threads/{thread}/follow",
)
async def follow_thread(ctx: Ctx, cmd: FollowThread) -> Effects:
    """`conflict`: the message is a reply itself or a system message, or was deleted before it had replies."""
    return await set_following(ctx, cmd.conversation, cmd.thread, following=True)


class UnfollowThread(Command, tag="thread.unfollow"):
    """Unfollow a thread. Mentions do not make the requester follow it again; a reply of their own does."""

    conversation: Id
    thread: Id


@command(
    UnfollowThread,
    result=ThreadResult,
    refuses=("not_found", "conflict"),
    http="DELETE /v1/conversations/{conversation}/threads/{thread}/follow",
)
async def unfollow_thread(ctx: Ctx, cmd: UnfollowThread) -> Effects:
    """`conflict`: as for thread.follow."""
    return await set_following(ctx, cmd.conversation, cmd.thread, following=False)


async def set_following(ctx: Ctx, conversation: str, message: str, *, following: bool) -> Effects:
    """Follow or unfollow. The other devices of the requester get it by session.sync."""
    root = await root_of(ctx, conversation, message)
    if root["refusal"]:
        raise refused_thread(root["refusal"])
    key = (ctx.tenant, conversation, ctx.user, root["seq"])
    await ctx.node.db.run(SQL.follow, *key, following, root["last_seq"], ctx.now)
    return [await thread_reply(ctx, conversation, root["seq"]), ToUser(ctx.user, SessionBehind(), ctx.origin)]


class ReadThread(Command, tag="thread.read"):
    """Report that the requester has read the replies of a thread up to `seq`, the number of a message.

    A `seq` at or below an earlier one changes nothing; nor does a thread that the requester does not follow. The
    position in the conversation is that of receipt.read.
    """

    conversation: Id
    thread: Id
    seq: Seq


@command(
    ReadThread,
    result=ThreadResult,
    refuses=("not_found",),
    cost=0.2,
    http="POST /v1/conversations/{conversation}/threads/{thread}/read",
)
async def read_thread(ctx: Ctx, cmd: ReadThread) -> Effects:
    """`not_found`: the requester cannot see the message, or there is no message with this `seq`."""
    root = await root_of(ctx, cmd.conversation, cmd.thread)
    if cmd.seq > root["last_seq"]:
        raise Refused("not_found", "$.seq: no such message")
    key = (ctx.tenant, cmd.conversation, ctx.user, root["seq"])
    moved = await ctx.node.db.value(SQL.read, *key, cmd.seq) is not None
    reply = await thread_reply(ctx, cmd.conversation, root["seq"])
    return [reply, ToUser(ctx.user, SessionBehind(), ctx.origin)] if moved else [reply]


class ThreadHistory(Command, tag="thread.history"):
    """Get a page of the replies in a thread: the latest, those before the seq `before`, or those after the seq `after`.
    The order is that of `seq`.
    """

    conversation: Id
    thread: Id
    before: Seq | None = None
    after: Seq | None = None
    limit: Limit = 50


@command(
    ThreadHistory,
    result=Messages,
    guard=Guard.MEMBER,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/threads/{thread}",
)
async def thread_history(ctx: Ctx, cmd: ThreadHistory) -> Effects:
    """`not_found`: the requester cannot see the message."""
    if cmd.before is not None and cmd.after is not None:
        raise Refused("bad_request", "$: expected before or after, not both")
    root = await root_of(ctx, cmd.conversation, cmd.thread)
    statement = SQL.history_before if cmd.after is None else SQL.history_after
    edge = cmd.before if cmd.after is None else cmd.after
    key: tuple[Any, ...] = (ctx.tenant, cmd.conversation, ctx.user, root["seq"])
    page, more = page_of(await ctx.node.db.all(statement, *key, edge, cmd.limit + 1), cmd.limit)
    items = sorted((message_of(row, ctx.files_url) for row in page), key=lambda message: message.seq)
    return [Reply(Messages(items=items, more=more))]
