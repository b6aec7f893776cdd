"""Coming into a group by oneself, or asking to be let in. Whoever was removed does not come back by a link."""

from typing import Annotated

from msgspec import Meta, Struct

from chatd.accounts.authentication import digest
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.conversations.commands.invites import Secret, group_of
from chatd.conversations.effects import AnnounceMembers, WithConversation
from chatd.conversations.entities import Conversation
from chatd.conversations.log.transaction import Change, change
from chatd.conversations.membership import MembersAdded, add
from chatd.conversations.permissions import Right
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

    async def work(here: Change) -> JoinOutcome:
        if here.place.role is not None:
            return AlreadyMember()
        await check_way_in(here, cmd)
        if here.place.joining == "request":
            requested = Requested(is_first=await ask(here, cmd.text))
            if requested.is_first:
                await use_secret(here, cmd.secret)
            return requested
        await use_secret(here, cmd.secret)
        return await add(here, [here.user], ctx.node.config.limits, "member.joined") or AlreadyMember()

    welcome = WithConversation(id_, lambda view: [Reply(Joined(conversation=view, requested=False))])
    match await change(ctx, id_, work, stranger=True):
        case MembersAdded() as added:
            return [AnnounceMembers(id_, added), welcome]
        case AlreadyMember():
            return [welcome]
        case Requested(is_first):
            deciders = await ctx.node.db.all(SQL.deciders, ctx.tenant, id_) if is_first else []
            event = JoinRequested(conversation=id_, user=ctx.user)
            return [Reply(Joined(conversation=None, requested=True)), *(ToUser(row["user"], event) for row in deciders)]


class Requested(Struct, frozen=True):
    """A request to join is stored; `is_first`: there was none of this user before."""

    is_first: bool


class AlreadyMember(Struct, frozen=True):
    """Nothing was changed."""


JoinOutcome = MembersAdded | Requested | AlreadyMember


async def use_secret(here: Change, secret: str | None) -> None:
    """Count one use of a link. Raises Refused: `not_found` when no use is left."""
    if secret is not None and await here.one(SQL.use, digest(secret), here.now) is None:
        raise Refused("not_found", "$.secret: no such link")


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

    async def work(here: Change) -> MembersAdded | AlreadyMember | Declined:
        if await here.one(SQL.decline, cmd.user) is None:
            raise Refused("not_found", "$.user: has not asked to come in")
        if not cmd.approve:
            return Declined()
        return await add(here, [cmd.user], ctx.node.config.limits, "member.approved") or AlreadyMember()

    match await change(ctx, cmd.conversation, work, Right.ADD):
        case MembersAdded() as added:
            return [AnnounceMembers(cmd.conversation, added), Reply(Ok())]
        case AlreadyMember():
            return [Reply(Ok())]
        case Declined():
            return [Reply(Ok()), ToUser(cmd.user, JoinDeclined(conversation=cmd.conversation, user=cmd.user))]


class Declined(Struct, frozen=True):
    """The request is removed."""
