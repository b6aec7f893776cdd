"""Opening and creating conversations."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effects, Reply, ToConversation
from chatd.app.registry import command
from chatd.cluster.control_messages import SubscribeUsers
from chatd.conversations.block_rules import check_not_blocked, lock_pair
from chatd.conversations.consent_rules import (
    NOBODY_ASKED,
    Act,
    AnnounceAccepted,
    Asked,
    accept_direct,
    ask,
    request_events,
    users_to_ask,
    without,
)
from chatd.conversations.effects import WithConversation
from chatd.conversations.entities import Conversation
from chatd.conversations.events import ConversationUpdate
from chatd.conversations.log.transaction import AS_MEMBER, change_conversation, change_locked
from chatd.conversations.membership import check_bots_of, check_conversation_limit
from chatd.conversations.read_model import conversation_for, shared
from chatd.conversations.settings import ConsentSettings, ConversationLimits
from chatd.core.errors import Refused
from chatd.core.ids import NIL, uuid7
from chatd.db import queries
from chatd.db.postgres import ForeignKeyViolation, Row, Tx
from chatd.wire.base import Command, Id, Name, Result

SQL = queries.load("conversations/conversations")


class OpenConversation(Command, tag="conversation.open"):
    """Open the direct conversation with another user. Two users have only one.

    If the user has to accept it first, this sends them a request: `requested` of the conversation has their id, and it
    takes at most `consent.messages` messages until they accept. To open the conversation of a request accepts it.
    """

    user: Id


class CreateConversation(Command, tag="conversation.create"):
    """Create a group. Its creator becomes the owner. Users who do not let the requester add them are asked to join."""

    members: Annotated[list[Id], Meta(max_length=10_000)]
    title: Name | None = None


class ConversationResult(Result, tag="conversation"):
    """A conversation as the requester sees it. `created`: the command has created it. `invited`: the users who were
    asked to join the group and are not members before they accept; absent if there are none.
    """

    conversation: Conversation
    created: bool
    invited: list[Id] | UnsetType = UNSET


@command(
    OpenConversation,
    result=ConversationResult,
    cost=2,
    refuses=("not_found", "blocked", "too_large", "forbidden"),
    http="POST /v1/conversations/direct",
)
async def open_conversation(ctx: Ctx, cmd: OpenConversation) -> Effects:
    """`not_found`: there is no such user. `blocked`: the user has blocked the requester. `too_large`: one of the two is
    in too many conversations (`limits.conversations_per_user`), or the user has too many requests to answer.
    `forbidden`: the requester is a bot, to which the user has not written.
    """
    if cmd.user == ctx.user:
        raise Refused("bad_request", "$.user: expected another user than yourself")
    low, high = sorted((ctx.user, cmd.user))
    found = await ctx.node.db.one(SQL.find_direct, ctx.tenant, low, high)
    if found is not None and found["creator"] is not None:
        return await open_requested(ctx, cmd.user, found)
    if found is not None:
        await check_not_blocked(ctx, [cmd.user])
        view = await conversation_for(ctx, ctx.user, found["id"])
        return [Reply(ConversationResult(conversation=view, created=False))]
    asked = await users_to_ask(ctx, [cmd.user], Act.MESSAGES)
    await check_not_erased(ctx, [cmd.user])
    await check_conversation_limit(ctx, NIL, without([ctx.user, cmd.user], asked))
    opened = await open_new(ctx, cmd.user, ask_first=bool(asked))
    # Otherwise the other user has opened it in the meantime.
    return opened or await open_conversation(ctx, cmd)


async def open_requested(ctx: Ctx, other: str, found: Row) -> Effects:
    """Open a conversation that is not accepted yet: its creator gets it, and asks again if they have withdrawn the
    request; the other user accepts it.
    """
    id_, asked, accepted = found["id"], NOBODY_ASKED, None
    if found["creator"] != ctx.user:
        await check_conversation_limit(ctx, id_, [ctx.user])
        accepted = await change_conversation(ctx, id_, accept_direct, True, allow_non_member=True, allow_blocked=True)
    elif found["is_withdrawn"]:
        settings = (ctx.node.config.get(ConsentSettings), ctx.node.config.get(ConversationLimits))
        asked = await change_conversation(ctx, id_, ask, [other], *settings)
    announced = [] if accepted is None else [AnnounceAccepted(id_, accepted)]
    answer = WithConversation(id_, partial(opened_events, ctx, [ctx.user], created=False))
    return [*request_events(ctx, id_, "direct", asked), *announced, answer]


async def check_not_erased(ctx: Ctx, users: list[str]) -> None:
    """Check that the users exist. Raises Refused: `not_found` for an erased user. The row of such a user stays, but is
    not an account.
    """
    if await ctx.node.db.one(SQL.has_erased_user, ctx.tenant, users) is not None:
        raise Refused("not_found", "no such user")


async def open_new(ctx: Ctx, other: str, *, ask_first: bool) -> Effects:
    """Create the direct conversation. `ask_first`: the other user has to accept it. No effects if it exists."""
    low, high = sorted((ctx.user, other))
    try:
        if ask_first:
            opened = await ctx.node.db.in_transaction(insert_request, ctx, other)
        else:
            id_ = await ctx.node.db.in_transaction(insert_direct, ctx, low, high)
            opened = None if id_ is None else Opened(id_, [low, high], NOBODY_ASKED)
    except ForeignKeyViolation:
        raise Refused("not_found", "$.user: no such user") from None
    if opened is None:
        return []
    joined = WithConversation(opened.id, partial(opened_events, ctx, opened.members, created=True))
    return [joined, *request_events(ctx, opened.id, "direct", opened.asked)]


async def insert_direct(tx: Tx, ctx: Ctx, low: str, high: str) -> str | None:
    """Insert a direct conversation. Returns its id, or None if there is one already. Raises Refused: `blocked`;
    ForeignKeyViolation.
    """
    if not {low, high}.isdisjoint(await lock_pair(tx, ctx.tenant, low, high)):
        raise Refused("blocked")
    values = (uuid7(ctx.now), low, high, ctx.user, ctx.now, [low, high], None)
    made: str | None = await tx.value(SQL.open_direct, ctx.tenant, *values)
    return made


class Opened(Struct, frozen=True):
    """A new conversation, its first members, and the users who were asked to become members."""

    id: str
    members: list[str]
    asked: Asked


async def insert_request(tx: Tx, ctx: Ctx, other: str) -> Opened | None:
    """Insert a direct conversation that the other user has to accept. Returns None if there is one already. Raises
    Refused: `blocked` if the requester has blocked the other user (a block by that user does not show), and those of
    `ask`; ForeignKeyViolation.
    """
    low, high = sorted((ctx.user, other))
    if other in await lock_pair(tx, ctx.tenant, low, high):
        raise Refused("blocked")
    most = ctx.node.config.get(ConsentSettings).messages
    values = (uuid7(ctx.now), low, high, ctx.user, ctx.now, [ctx.user], most)
    id_: str | None = await tx.value(SQL.open_direct, ctx.tenant, *values)
    return None if id_ is None else Opened(id_, [ctx.user], await ask_in(tx, ctx, id_, [other]))


async def ask_in(tx: Tx, ctx: Ctx, conversation: str, users: list[str]) -> Asked:
    """Ask users in the transaction that has created the conversation. Raises Refused as `ask`."""
    if not users:
        return NOBODY_ASKED
    limits = (ctx.node.config.get(ConsentSettings), ctx.node.config.get(ConversationLimits))
    return await change_locked(tx, ctx, conversation, AS_MEMBER, ask, (users, *limits))


@command(
    CreateConversation,
    result=ConversationResult,
    cost=5,
    refuses=("not_found", "too_large", "blocked", "forbidden"),
    http="POST /v1/conversations",
)
async def create_conversation(ctx: Ctx, cmd: CreateConversation) -> Effects:
    """`not_found`: a member does not exist. `blocked`: a member has blocked the requester. `too_large`: there are too
    many members, or one of them is in too many conversations or has too many requests to answer. `forbidden`: a filter
    refuses the title.
    """
    users = sorted({ctx.user, *cmd.members})
    most = ctx.node.config.get(ConversationLimits).members
    if len(users) > most:
        raise Refused("too_large", f"$.members: expected at most {most} members, you included")
    asked = await users_to_ask(ctx, users, Act.GROUPS)
    members = without(users, asked)
    await check_not_erased(ctx, users)
    await check_conversation_limit(ctx, NIL, members)
    await check_bots_of(ctx, members)
    try:
        opened = await ctx.node.db.in_transaction(insert_group, ctx, cmd.title, members, asked)
    except ForeignKeyViolation:
        raise Refused("not_found", "$.members: no such user") from None
    made = partial(opened_events, ctx, members, created=True, invited=opened.asked.users)
    return [WithConversation(opened.id, made), *request_events(ctx, opened.id, "group", opened.asked)]


async def insert_group(tx: Tx, ctx: Ctx, title: str | None, members: list[str], asked: list[str]) -> Opened:
    """Insert a group. Raises Refused as `ask`; ForeignKeyViolation."""
    id_ = uuid7(ctx.now)
    await tx.run(SQL.create_group, ctx.tenant, id_, title, ctx.user, members, ctx.now)
    return Opened(id_, members, await ask_in(tx, ctx, id_, asked))


def opened_events(
    ctx: Ctx, users: list[str], view: Conversation, *, created: bool, invited: Sequence[str] = ()
) -> Effects:
    """Subscribe the members, answer, and send a new conversation to the other sessions."""
    joined = Broadcast(SubscribeUsers(ctx.tenant, view.id, users, view.rev))
    reply = Reply(ConversationResult(conversation=view, created=created, invited=list(invited) or UNSET))
    if not created:
        return [joined, reply]
    return [joined, reply, ToConversation(view.id, ConversationUpdate(conversation=shared(view)), ctx.origin)]


class GetConversation(Command, tag="conversation.get"):
    """Get one conversation."""

    conversation: Id


@command(
    GetConversation, result=ConversationResult, refuses=("not_found",), http="GET /v1/conversations/{conversation}"
)
async def get_conversation(ctx: Ctx, cmd: GetConversation) -> Effects:
    found = await conversation_for(ctx, ctx.user, cmd.conversation)
    return [Reply(ConversationResult(conversation=found, created=False))]
