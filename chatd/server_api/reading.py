"""Reading conversations, members and messages, as all members see them. In a match users are shown by their alias."""

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import server_command
from chatd.conversations.commands.groups import Members
from chatd.conversations.commands.listing import Conversations, ListConversations, read_list
from chatd.conversations.messages.sending import Messages
from chatd.conversations.read_model import message_of
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.server_api.acting import acting_as
from chatd.server_api.views import ServerConversation, members_page, view_of
from chatd.wire.base import Cursor, Id, Limit, Seq
from chatd.wire.server import ServerCommand

SQL = queries.load("server_api/reading")


class ServerGetConversation(ServerCommand, tag="server.conversation.get"):
    """Get one conversation."""

    conversation: Id


@server_command(
    ServerGetConversation,
    result=ServerConversation,
    scope="read",
    refuses=("not_found",),
    http="GET /v1/server/conversations/{conversation}",
)
async def get_conversation(ctx: Ctx, cmd: ServerGetConversation) -> Effects:
    return [Reply((await view_of(ctx, cmd.conversation)).result())]


class ServerListConversations(ServerCommand, tag="server.conversation.list"):
    """List the conversations of a user as the user sees them, the most recently active first.

    `cursor`: from the page before; see `conversation.list`.
    """

    user: Id
    cursor: Cursor | None = None
    limit: Limit = 50


@server_command(
    ServerListConversations,
    result=Conversations,
    scope="read",
    cost=2,
    http="GET /v1/server/users/{user}/conversations",
)
async def list_conversations(ctx: Ctx, cmd: ServerListConversations) -> Effects:
    """A user who does not exist has no conversations."""
    page = ListConversations(cursor=cmd.cursor, limit=cmd.limit)
    return [Reply(await read_list(acting_as(ctx, cmd.user), page))]


class ServerListMembers(ServerCommand, tag="server.member.list"):
    """List the members of a conversation, ordered by id. `cursor`: from the page before."""

    conversation: Id
    cursor: Id | None = None
    limit: Limit = 100


@server_command(
    ServerListMembers,
    result=Members,
    scope="read",
    refuses=("not_found",),
    http="GET /v1/server/conversations/{conversation}/members",
)
async def list_members(ctx: Ctx, cmd: ServerListMembers) -> Effects:
    await check_exists(ctx, cmd.conversation)
    items, more = await members_page(ctx, cmd.conversation, cmd.cursor, cmd.limit)
    return [Reply(Members(items=items, cursor=items[-1].user if more else None))]


class ServerMessageHistory(ServerCommand, tag="server.message.history"):
    """Get a page of messages: the latest, those before the seq `before`, or those after the seq `after`. The order is
    that of `seq`.
    """

    conversation: Id
    before: Seq | None = None
    after: Seq | None = None
    limit: Limit = 50


@server_command(
    ServerMessageHistory,
    result=Messages,
    scope="read",
    refuses=("not_found",),
    http="GET /v1/server/conversations/{conversation}/messages",
)
async def message_history(ctx: Ctx, cmd: ServerMessageHistory) -> Effects:
    if cmd.before is not None and cmd.after is not None:
        raise Refused("bad_request", "$: expected before or after, not both")
    await check_exists(ctx, cmd.conversation)
    statement = SQL.history_before if cmd.after is None else SQL.history_after
    edge = cmd.before if cmd.after is None else cmd.after
    rows = await ctx.node.db.all(statement, ctx.tenant, cmd.conversation, edge, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = sorted((message_of(row, ctx.files_url) for row in page), key=lambda message: message.seq)
    return [Reply(Messages(items=items, more=more))]


async def check_exists(ctx: Ctx, conversation: str) -> None:
    """Raises Refused: `not_found`."""
    if await ctx.node.db.one(SQL.exists, ctx.tenant, conversation) is None:
        raise Refused("not_found", "no such conversation")
