"""Opening, creating and listing conversations."""

import re
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effects, Reply, ToConversation
from chatd.app.registry import command
from chatd.cluster.control_messages import SubscribeUsers
from chatd.conversations.block_rules import check_not_blocked, lock_pair
from chatd.conversations.effects import WithConversation
from chatd.conversations.entities import Conversation
from chatd.conversations.events import ConversationUpdate
from chatd.conversations.membership import check_conversation_limit
from chatd.conversations.read_model import conversation_for, conversations_of, shared
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.core.ids import NIL, UUID, uuid7
from chatd.db import queries
from chatd.db.postgres import ForeignKeyViolation, Row, Tx
from chatd.wire.base import Command, Cursor, Id, Limit, Name, Result

SQL = queries.load("conversations/conversations")
# A position in the list by activity: the time in milliseconds, and the id.
Spot = tuple[int, str]


class OpenConversation(Command, tag="conversation.open"):
    """Open the direct conversation with another user. Two users have only one."""

    user: Id


class CreateConversation(Command, tag="conversation.create"):
    """Create a group. Its creator becomes the owner."""

    members: Annotated[list[Id], Meta(max_length=10_000)]
    title: Name | None = None


class ConversationResult(Result, tag="conversation"):
    """A conversation as the requester sees it. `created`: the command has created it."""

    conversation: Conversation
    created: bool


@command(
    OpenConversation,
    result=ConversationResult,
    cost=2,
    refuses=("not_found", "blocked", "too_large"),
    http="POST /v1/conversations/direct",
)
async def open_conversation(ctx: Ctx, cmd: OpenConversation) -> Effects:
    """`not_found`: there is no such user. `blocked`: the user has blocked the requester. `too_large`: one of the two is
    in too many conversations (`limits.conversations_per_user`).
    """
    if cmd.user == ctx.user:
        raise Refused("bad_request", "$.user: expected another user than yourself")
    await check_not_blocked(ctx, [cmd.user])
    low, high = sorted((ctx.user, cmd.user))
    id_ = await ctx.node.db.value(SQL.find_direct, ctx.tenant, low, high)
    if id_ is not None:
        return [Reply(ConversationResult(conversation=await conversation_for(ctx, ctx.user, id_), created=False))]
    await check_not_erased(ctx, [cmd.user])
    await check_conversation_limit(ctx, NIL, [ctx.user, cmd.user])
    return await open_new(ctx, low, high)


async def check_not_erased(ctx: Ctx, users: list[str]) -> None:
    """Check that the users exist. Raises Refused: `not_found` for an erased user. The row of such a user stays, but is
    not an account.
    """
    if await ctx.node.db.one(SQL.has_erased_user, ctx.tenant, users) is not None:
        raise Refused("not_found", "no such user")


async def open_new(ctx: Ctx, low: str, high: str) -> Effects:
    """Create the direct conversation. If both users open it at the same time, both get the same one."""
    try:
        made = await ctx.node.db.in_transaction(insert_direct, ctx, low, high)
    except ForeignKeyViolation:
        raise Refused("not_found", "$.user: no such user") from None
    id_ = made or await ctx.node.db.value(SQL.find_direct, ctx.tenant, low, high)
    return [WithConversation(id_, partial(opened_events, ctx, [low, high], created=made is not None))]


async def insert_direct(tx: Tx, ctx: Ctx, low: str, high: str) -> str | None:
    """Insert a direct conversation. Returns its id, or None if there is one already. Raises Refused: `blocked`;
    ForeignKeyViolation.
    """
    if not {low, high}.isdisjoint(await lock_pair(tx, ctx.tenant, low, high)):
        raise Refused("blocked")
    made: str | None = await tx.value(SQL.open_direct, ctx.tenant, uuid7(ctx.now), low, high, ctx.user, ctx.now)
    return made


@command(
    CreateConversation,
    result=ConversationResult,
    cost=5,
    refuses=("not_found", "too_large", "blocked", "forbidden"),
    http="POST /v1/conversations",
)
async def create_conversation(ctx: Ctx, cmd: CreateConversation) -> Effects:
    """`not_found`: a member does not exist. `blocked`: a member has blocked the requester. `too_large`: there are too
    many members, or one of them is in too many conversations. `forbidden`: a filter refuses the title.
    """
    users = sorted({ctx.user, *cmd.members})
    most = ctx.node.config.get(ConversationLimits).members
    if len(users) > most:
        raise Refused("too_large", f"$.members: expected at most {most} members, you included")
    await check_not_blocked(ctx, users)
    await check_not_erased(ctx, users)
    await check_conversation_limit(ctx, NIL, users)
    id_ = uuid7(ctx.now)
    try:
        await ctx.node.db.run(SQL.create_group, ctx.tenant, id_, cmd.title, ctx.user, users, ctx.now)
    except ForeignKeyViolation:
        raise Refused("not_found", "$.members: no such user") from None
    return [WithConversation(id_, partial(opened_events, ctx, users, created=True))]


def opened_events(ctx: Ctx, users: list[str], view: Conversation, *, created: bool) -> Effects:
    """Subscribe the members, answer, and send a new conversation to the other sessions."""
    joined = Broadcast(SubscribeUsers(ctx.tenant, view.id, users, view.rev))
    reply = Reply(ConversationResult(conversation=view, created=created))
    if not created:
        return [joined, reply]
    return [joined, reply, ToConversation(view.id, ConversationUpdate(conversation=shared(view)), ctx.session)]


class GetConversation(Command, tag="conversation.get"):
    """Get one conversation."""

    conversation: Id


@command(
    GetConversation, result=ConversationResult, refuses=("not_found",), http="GET /v1/conversations/{conversation}"
)
async def get_conversation(ctx: Ctx, cmd: GetConversation) -> Effects:
    found = await conversation_for(ctx, ctx.user, cmd.conversation)
    return [Reply(ConversationResult(conversation=found, created=False))]


class ListConversations(Command, tag="conversation.list"):
    """List the conversations of the requester, the most recently active first.

    `cursor`: from the page before. A conversation that becomes active while the client pages may appear again on one of
    the last pages; none is left out.
    """

    cursor: Cursor | None = None
    limit: Limit = 50


class Conversations(Result, tag="conversations"):
    """A page of conversations. `cursor` is null on the last page."""

    items: list[Conversation]
    cursor: str | None


@command(ListConversations, result=Conversations, cost=2, http="GET /v1/conversations")
async def list_conversations(ctx: Ctx, cmd: ListConversations) -> Effects:
    page = await next_page(ctx, read_cursor(cmd.cursor), cmd.limit)
    items = await conversations_of(ctx, ctx.user, page.ids)
    return [Reply(Conversations(items=items, cursor=page.cursor))]


class Position(Struct, frozen=True):
    """The position of a list. `top`: the first conversation of the first page; those that become more active are listed
    last.

    `last`: the conversation before the next page; None once everything below `top` is listed, then `top` moves up.
    """

    top: Spot | None = None
    last: Spot | None = None

    def __str__(self) -> str:
        return "~".join(f"{at}.{id_}" for at, id_ in filter(None, (self.top, self.last)))


class Page(Struct, frozen=True):
    """The ids of a page, and the cursor of the next one."""

    ids: list[str]
    cursor: str | None


async def next_page(ctx: Ctx, position: Position, limit: int) -> Page:
    found: list[Spot] = []
    if position.top is None or position.last is not None:
        last = position.last or (None, None)
        found = [spot_of(row) for row in await ctx.node.db.all(SQL.page, ctx.tenant, ctx.user, *last, limit + 1)]
        top = position.top or (found[0] if found else None)
        if len(found) > limit:
            return Page([id_ for _, id_ in found[:limit]], str(Position(top, found[limit - 1])))
        if position.top is None:
            return Page([id_ for _, id_ in found], None)
    assert position.top is not None
    room = limit - len(found)
    moved = [
        spot_of(row) for row in await ctx.node.db.all(SQL.page_newer, ctx.tenant, ctx.user, *position.top, room + 1)
    ]
    top = moved[room - 1] if room and len(moved) > room else position.top
    ids = [id_ for _, id_ in [*found, *moved[:room]]]
    return Page(list(dict.fromkeys(ids)), str(Position(top)) if len(moved) > room else None)


def spot_of(row: Row) -> Spot:
    return row["active_at"], row["id"]


CURSOR = re.compile(rf"([0-9]{{1,18}})\.({UUID})(?:~([0-9]{{1,18}})\.({UUID}))?")


def read_cursor(cursor: str | None) -> Position:
    """Decode a cursor. Raises Refused: `bad_request`."""
    if cursor is None:
        return Position()
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise Refused("bad_request", "$.cursor: expected a cursor from conversation.list")
    return Position((int(match[1]), match[2]), (int(match[3]), match[4]) if match[3] else None)
