"""Opening, creating and listing conversations."""

import re
from typing import Annotated

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Join, Reply, ToConversation
from chatd.app.registry import command
from chatd.conversations.block_rules import check_not_blocked, lock_pair
from chatd.conversations.entities import Conversation
from chatd.conversations.events import ConversationUpdate
from chatd.conversations.membership import check_room
from chatd.conversations.read_model import conversation_for, conversations_of, own_view_to_tell, shared
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.core.ids import NIL, UUID, uuid7
from chatd.db import queries
from chatd.db.postgres import ForeignKeyViolation, Row, Tx
from chatd.wire.base import Command, Cursor, Id, Limit, Name, Result

SQL = queries.load("conversations/conversations")
# A place in the order of activity: when, and the id.
Spot = tuple[int, str]


class OpenConversation(Command, tag="conversation.open"):
    """The conversation with one other user: one per pair, for ever."""

    user: Id


class CreateConversation(Command, tag="conversation.create"):
    """A group. Whoever creates it is a member too."""

    members: Annotated[list[Id], Meta(max_length=10_000)]
    title: Name | None = None


class ConversationResult(Result, tag="conversation"):
    """A conversation as the asker sees it. `created`: it was not there before."""

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
    """Refused `not_found` for an unknown user, `blocked` for one who has blocked the asker.

    Also `too_large` when one of the two is in as many conversations as one user may be.
    """
    if cmd.user == ctx.user:
        raise Refused("bad_request", "$.user: a conversation needs somebody else")
    await check_not_blocked(ctx, [cmd.user])
    low, high = sorted((ctx.user, cmd.user))
    id_ = await ctx.node.db.value(SQL.find_direct, ctx.tenant, low, high)
    if id_ is not None:
        return [Reply(ConversationResult(conversation=await conversation_for(ctx, ctx.user, id_), created=False))]
    await check_not_erased(ctx, [cmd.user])
    await check_room(ctx, NIL, [ctx.user, cmd.user])
    return await open_new(ctx, low, high)


async def check_not_erased(ctx: Ctx, users: list[str]) -> None:
    """Raises Refused: `not_found`. The row of somebody who is erased is there, and stands for nobody."""
    if await ctx.node.db.one(SQL.erased, ctx.tenant, users) is not None:
        raise Refused("not_found", "no such user")


async def open_new(ctx: Ctx, low: str, high: str) -> Effects:
    """Both may open it at once; whoever comes second gets what the first one made."""

    async def work(tx: Tx) -> str | None:
        if not {low, high}.isdisjoint(await lock_pair(tx, ctx.tenant, low, high)):
            raise Refused("blocked")
        made: str | None = await tx.value(SQL.open_direct, ctx.tenant, uuid7(ctx.now), low, high, ctx.user, ctx.now)
        return made

    try:
        made = await ctx.node.db.in_transaction(work)
    except ForeignKeyViolation:
        raise Refused("not_found", "$.user: no such user") from None
    id_ = made or await ctx.node.db.value(SQL.find_direct, ctx.tenant, low, high)
    return await announce(ctx, id_, [low, high], created=made is not None)


@command(
    CreateConversation,
    result=ConversationResult,
    cost=5,
    refuses=("not_found", "too_large", "blocked", "forbidden"),
    http="POST /v1/conversations",
)
async def create_conversation(ctx: Ctx, cmd: CreateConversation) -> Effects:
    """Refused `not_found` when a member is unknown, `too_large` for too many, `forbidden` by a filter of the title."""
    users = sorted({ctx.user, *cmd.members})
    most = ctx.node.config.get(ConversationLimits).members
    if len(users) > most:
        raise Refused("too_large", f"$.members: at most {most}")
    await check_not_blocked(ctx, users)
    await check_not_erased(ctx, users)
    await check_room(ctx, NIL, users)
    id_ = uuid7(ctx.now)
    try:
        await ctx.node.db.run(SQL.create_group, ctx.tenant, id_, cmd.title, ctx.user, users, ctx.now)
    except ForeignKeyViolation:
        raise Refused("not_found", "$.members: no such user") from None
    return await announce(ctx, id_, users, created=True)


async def announce(ctx: Ctx, id_: str, users: list[str], *, created: bool) -> Effects:
    """The sessions of all members hear it from now on, and those that did not ask are told."""
    mine = await own_view_to_tell(ctx, id_)
    effects: Effects = [Join(id_, users, mine.rev), Reply(ConversationResult(conversation=mine, created=created))]
    if not created:
        return effects
    return [*effects, ToConversation(id_, ConversationUpdate(conversation=shared(mine)), but=ctx.session)]


class GetConversation(Command, tag="conversation.get"):
    """One conversation by its id."""

    conversation: Id


@command(GetConversation, result=ConversationResult, refuses=("not_found",), http="GET /v1/conversations/{conversation}")
async def get_conversation(ctx: Ctx, cmd: GetConversation) -> Effects:
    found = await conversation_for(ctx, ctx.user, cmd.conversation)
    return [Reply(ConversationResult(conversation=found, created=False))]


class ListConversations(Command, tag="conversation.list"):
    """The conversations of the asker, the most recently active first. `cursor` from the page before.

    One in which something happens while you page may come a second time on the last pages; none is left out.
    """

    cursor: Cursor | None = None
    limit: Limit = 50


class Conversations(Result, tag="conversations"):
    """A page. `cursor` is null on the last one."""

    items: list[Conversation]
    cursor: str | None


@command(ListConversations, result=Conversations, cost=2, http="GET /v1/conversations")
async def list_conversations(ctx: Ctx, cmd: ListConversations) -> Effects:
    ids, cursor = await next_page(ctx, read_cursor(cmd.cursor), cmd.limit)
    items = await conversations_of(ctx, ctx.user, ids)
    return [Reply(Conversations(items=items, cursor=cursor))]


class Position(Struct, frozen=True):
    """How far a list has come. `top`: the first conversation of the first page; what moves above it is listed at the end.

    `last`: the conversation before the next page; None when all from the top down were listed, and `top` moves up instead.
    """

    top: Spot | None = None
    last: Spot | None = None

    def __str__(self) -> str:
        return "~".join(f"{at}.{id_}" for at, id_ in filter(None, (self.top, self.last)))


async def next_page(ctx: Ctx, position: Position, limit: int) -> tuple[list[str], str | None]:
    """The ids of a page, and the cursor of the next one."""
    found: list[Spot] = []
    if position.top is None or position.last is not None:
        last = position.last or (None, None)
        found = [spot_of(row) for row in await ctx.node.db.all(SQL.page, ctx.tenant, ctx.user, *last, limit + 1)]
        top = position.top or (found[0] if found else None)
        if len(found) > limit:
            return [id_ for _, id_ in found[:limit]], str(Position(top, found[limit - 1]))
        if position.top is None:
            return [id_ for _, id_ in found], None
    assert position.top is not None
    room = limit - len(found)
    moved = [spot_of(row) for row in await ctx.node.db.all(SQL.moved, ctx.tenant, ctx.user, *position.top, room + 1)]
    top = moved[room - 1] if room and len(moved) > room else position.top
    ids = [id_ for _, id_ in [*found, *moved[:room]]]
    return list(dict.fromkeys(ids)), str(Position(top)) if len(moved) > room else None


def spot_of(row: Row) -> Spot:
    return row["active_at"], row["id"]


CURSOR = re.compile(rf"([0-9]{{1,18}})\.({UUID})(?:~([0-9]{{1,18}})\.({UUID}))?")


def read_cursor(cursor: str | None) -> Position:
    """Raises Refused: `bad_request`."""
    if cursor is None:
        return Position()
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise Refused("bad_request", "$.cursor: not a cursor of conversation.list")
    return Position((int(match[1]), match[2]), (int(match[3]), match[4]) if match[3] else None)
