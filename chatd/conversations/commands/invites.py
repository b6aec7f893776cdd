"""Links into a group.

A link is a secret of 128 bits, kept as a hash. What it does depends on the group: where joining is `invite` or `open` it lets in,
where it is `request` it lets ask. A link that is unknown, used up, over or revoked is not found, and nobody can tell which.
"""

import secrets
from typing import Annotated, Any

from msgspec import Meta, Struct

from chatd.accounts.authentication import digest
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import command
from chatd.conversations.log.transaction import Change, change
from chatd.conversations.permissions import Right
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.wire.base import Command, Id, Millis, Name, Ok, Result
from chatd.wire.texts import PRIVATE

SQL = queries.load("conversations/invites")
MOST_INVITES = 100
Secret = Annotated[str, Meta(min_length=16, max_length=64, extra=PRIVATE)]


class CreateInvite(Command, tag="invite.create"):
    """A link into a group. `expires_in` in seconds, `uses`: how many may come by it; without them there is no limit."""

    conversation: Id
    expires_in: Annotated[int, Meta(ge=1, le=31_536_000)] | None = None
    uses: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class InviteCreated(Result, tag="invite.created"):
    """`secret` is shown this once."""

    invite: Id
    secret: str
    expires_at: Millis | None


@command(
    CreateInvite,
    result=InviteCreated,
    cost=5,
    refuses=("not_found", "forbidden", "conflict"),
    http="POST /v1/conversations/{conversation}/invites",
)
async def create_invite(ctx: Ctx, cmd: CreateInvite) -> Effects:
    """Refused `conflict` where nobody can join by themselves, and for too many links."""
    secret, id_ = f"ci_{secrets.token_urlsafe(16)}", uuid7(ctx.now)
    ends = None if cmd.expires_in is None else ctx.now + cmd.expires_in * 1000

    async def work(here: Change) -> None:
        found = await here.one(SQL.count, here.now)
        if here.place.joining == "closed" or found is None or found["found"] >= MOST_INVITES:
            raise Refused("conflict", f"joining is closed here, or there are {MOST_INVITES} links already")
        await here.run(SQL.add, id_, digest(secret), here.user, here.now, ends, cmd.uses)

    await change(ctx, cmd.conversation, work, Right.ADD)
    return [Reply(InviteCreated(invite=id_, secret=secret, expires_at=ends))]


class Invite(Struct, kw_only=True, frozen=True):
    """A link, without its secret."""

    id: Id
    creator: Id
    created_at: Millis
    expires_at: Millis | None
    uses_left: int | None


class ListInvites(Command, tag="invite.list"):
    """The links into a group, without those that are over or revoked."""

    conversation: Id


class Invites(Result, tag="invites"):
    """The latest first."""

    items: list[Invite]


@command(ListInvites, result=Invites, refuses=("not_found", "forbidden"), http="GET /v1/conversations/{conversation}/invites")
async def list_invites(ctx: Ctx, cmd: ListInvites) -> Effects:
    async def work(here: Change) -> list[Invite]:
        return [Invite(**dict(row)) for row in await here.all(SQL.page, here.now, MOST_INVITES)]

    return [Reply(Invites(items=await change(ctx, cmd.conversation, work, Right.ADD)))]


class RevokeInvite(Command, tag="invite.revoke"):
    """A link that lets nobody in any more."""

    conversation: Id
    invite: Id


@command(
    RevokeInvite,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}/invites/{invite}",
)
async def revoke_invite(ctx: Ctx, cmd: RevokeInvite) -> Effects:
    async def work(here: Change) -> None:
        if await here.one(SQL.revoke, cmd.invite, here.now) is None:
            raise Refused("not_found", "$.invite: no such link")

    await change(ctx, cmd.conversation, work, Right.ADD)
    return [Reply(Ok())]


class ShowInvite(Command, tag="invite.show"):
    """Where a link leads to, before one follows it."""

    secret: Secret


class Preview(Result, tag="invite.preview"):
    """A group as somebody sees it who has a link. `asks`: one has to ask to be let in."""

    conversation: Id
    title: Name | None
    description: str | None
    picture: Id | None
    member_count: int
    asks: bool


@command(ShowInvite, result=Preview, cost=2, refuses=("not_found",), http="POST /v1/invites/show")
async def show_invite(ctx: Ctx, cmd: ShowInvite) -> Effects:
    fields = dict(await group_of(ctx, cmd.secret))
    return [Reply(Preview(conversation=fields.pop("id"), asks=fields.pop("joining") == "request", **fields))]


async def group_of(ctx: Ctx, secret: str) -> dict[str, Any]:
    """Where a link leads to, as a row of `find`. Raises Refused: `not_found`."""
    row = await ctx.node.db.one(SQL.find, ctx.tenant, digest(secret), ctx.now)
    if row is None:
        raise Refused("not_found", "$.secret: no such link")
    return dict(row)
