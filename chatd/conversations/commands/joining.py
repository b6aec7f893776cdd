"""Coming into a group by oneself, or asking to be let in. Whoever was removed does not come back by a link."""

from typing import Annotated

from msgspec import Meta, Struct

from chatd.accounts.authentication import digest
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.conversations.commands.invite_lookup import Secret, group_of
from chatd.conversations.entities import Conversation, Member, Message
from chatd.conversations.log.transaction import Change, change
from chatd.conversations.membership import enter, named, told_entered
from chatd.conversations.permissions import Right
from chatd.conversations.read_model import own_view_to_tell
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import Command, Event, Id, Millis, Ok, Result
from chatd.wire.texts import PROSE

SQL = queries.load("conversations/joining")
MOST_REQUESTS, MOST_OWN_REQUESTS = 1000, 100
Words = Annotated[str, Meta(max_length=500, extra=PROSE)]


class JoinConversation(Command, tag="conversation.join"):
    """Come into a group: by the `secret` of a link, or by its id where it is open. `text` goes with a request."""

    conversation: Id | None = None
    secret: Secret | None = None
    text: Words | None = None


class Joined(Result, tag="conversation.joined"):
    """The group; or null, when somebody has to let the asker in first."""

    conversation: Conversation | None
    requested: bool


@command(
    JoinConversation, result=Joined, cost=5, refuses=("not_found", "forbidden", "too_large"), http="POST /v1/join", lasting=True
)
async def join_conversation(ctx: Ctx, cmd: JoinConversation) -> Effects:
    """Refused `not_found` for what lets nobody in, `forbidden` for who was removed, `too_large` for a group that is full."""
    if (cmd.conversation is None) == (cmd.secret is None):
        raise Refused("bad_request", "$: conversation or secret")
    id_ = cmd.conversation or str((await group_of(ctx, cmd.secret or ""))["id"])

    async def work(here: Change) -> tuple[list[Member], Message | None] | bool:
        if here.place.role is not None:
            return [], None
        await check_way_in(here, cmd)
        is_new = here.place.joining != "request" or await ask(here, cmd.text)
        if cmd.secret is not None and is_new and await here.one(SQL.use, digest(cmd.secret), here.now) is None:
            raise Refused("not_found", "$.secret: no such link")
        if here.place.joining == "request":
            return is_new
        members = await enter(here, [here.user], ctx.node.config.get(ConversationLimits))
        return members, await here.say(named("member.joined", [here.user])) if members else None

    done = await change(ctx, id_, work, stranger=True)
    if isinstance(done, bool):
        deciders = await ctx.node.db.all(SQL.deciders, ctx.tenant, id_) if done else []
        event = JoinRequested(conversation=id_, user=ctx.user)
        return [Reply(Joined(conversation=None, requested=True)), *(ToUser(row["user"], event) for row in deciders)]
    told = await told_entered(ctx, id_, done[0], done[1]) if done[1] is not None else []
    return [*told, Reply(Joined(conversation=await own_view_to_tell(ctx, id_), requested=False))]


async def check_way_in(here: Change, cmd: JoinConversation) -> None:
    """Raises Refused."""
    if (
        here.place.kind != "group"
        or not here.place.members
        or here.place.joining == "closed"
        or (cmd.secret is None and here.place.joining != "open")
    ):
        raise Refused("not_found", "no such conversation")
    if await here.one(SQL.was_removed, here.user) is not None:
        raise Refused("forbidden", "you were removed: a member has to add you")


async def ask(here: Change, text: str | None) -> bool:
    """Whether it is the first time. Raises Refused: `too_large` when too many do."""
    found = await here.one(SQL.request_count)
    if found is not None and found["found"] >= MOST_REQUESTS:
        raise Refused("too_large", "too many ask to come in")
    own = await here.one(SQL.own_requests, here.user)
    if own is not None and own["found"] >= MOST_OWN_REQUESTS:
        raise Refused("too_large", f"you ask to come into {MOST_OWN_REQUESTS} groups already")
    row = await here.one(SQL.ask, here.user, text, here.now)
    return row is not None and bool(row["is_new"])


class JoinRequested(Event, tag="join.requested"):
    """Somebody asks to come in. For those who may decide."""

    conversation: Id
    user: Id


class JoinDeclined(Event, tag="join.declined"):
    """You are not let in."""

    conversation: Id
    user: Id


class Request(Struct, kw_only=True, frozen=True):
    """Somebody who asks to come in."""

    user: Id
    name: str | None
    text: str | None
    created_at: Millis


class ListRequests(Command, tag="join.list"):
    """Who asks to come in."""

    conversation: Id


class Requests(Result, tag="join.requests"):
    """The first ones first, at most 200."""

    items: list[Request]


@command(ListRequests, result=Requests, refuses=("not_found", "forbidden"), http="GET /v1/conversations/{conversation}/requests")
async def list_requests(ctx: Ctx, cmd: ListRequests) -> Effects:
    async def work(here: Change) -> list[Request]:
        return [Request(**dict(row)) for row in await here.all(SQL.requests, 200)]

    return [Reply(Requests(items=await change(ctx, cmd.conversation, work, Right.ADD)))]


class DecideRequest(Command, tag="join.decide"):
    """Let somebody in who asked, or do not."""

    conversation: Id
    user: Id
    approve: bool


@command(
    DecideRequest,
    result=Ok,
    refuses=("not_found", "forbidden", "too_large"),
    http="POST /v1/conversations/{conversation}/requests/{user}",
    lasting=True,
)
async def decide_request(ctx: Ctx, cmd: DecideRequest) -> Effects:
    """Refused `not_found` for who has not asked."""

    async def work(here: Change) -> tuple[list[Member], Message | None]:
        if await here.one(SQL.decline, cmd.user) is None:
            raise Refused("not_found", "$.user: has not asked to come in")
        members = await enter(here, [cmd.user], ctx.node.config.get(ConversationLimits)) if cmd.approve else []
        return members, await here.say(named("member.approved", [cmd.user])) if members else None

    members, said = await change(ctx, cmd.conversation, work, Right.ADD)
    if said is not None:
        return [*await told_entered(ctx, cmd.conversation, members, said), Reply(Ok())]
    declined = [] if cmd.approve else [ToUser(cmd.user, JoinDeclined(conversation=cmd.conversation, user=cmd.user))]
    return [Reply(Ok()), *declined]
