"""Invite links of groups.

A link holds a secret of 128 bits, of which the database keeps a hash. If `joining` of the group is `invite` or `open`,
the link lets users join; if it is `request`, it lets them request to join. Unknown, used up, expired and revoked links
are all `not_found`, so that an answer does not reveal the state of a link.
"""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import command
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.permissions import Right
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.core.secrets import digest
from chatd.db import queries
from chatd.wire.base import Command, Id, Millis, Name, Ok, Result
from chatd.wire.texts import PRIVATE

SQL = queries.load("conversations/invites")
MAX_INVITES = 100
Secret = Annotated[str, Meta(min_length=16, max_length=64, extra=PRIVATE)]


class CreateInvite(Command, tag="invite.create"):
    """Create an invite link of a group. `expires_in`: in seconds; `uses`: how many users may join by it. Without them
    there is no limit.
    """

    conversation: Id
    expires_in: Annotated[int, Meta(ge=1, le=31_536_000)] | None = None
    uses: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class InviteCreated(Result, tag="invite.created"):
    """The new link. `secret` is shown only this once."""

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
    """`conflict`: joining is closed in this group, or it has too many links."""
    secret, id_ = f"ci_{secrets.token_urlsafe(16)}", uuid7(ctx.now)
    ends = None if cmd.expires_in is None else ctx.now + cmd.expires_in * 1000
    row = (id_, digest(secret), ctx.user, ctx.now, ends, cmd.uses)
    await change_conversation(ctx, cmd.conversation, add_invite, row, right=Right.ADD)
    return [Reply(InviteCreated(invite=id_, secret=secret, expires_at=ends))]


async def add_invite(tx: ConversationTx, row: Sequence[Any]) -> None:
    """Insert an invite link. Raises Refused: `conflict`."""
    found = await tx.one(SQL.count, tx.now)
    if tx.locked.joining == "closed" or found is None or found["found"] >= MAX_INVITES:
        raise Refused(
            "conflict", f"joining is closed in this group, or it already has {MAX_INVITES} links: revoke one first"
        )
    await tx.run(SQL.add, *row)


class Invite(Struct, kw_only=True, frozen=True):
    """An invite link, without its secret."""

    id: Id
    creator: Id
    created_at: Millis
    expires_at: Millis | None
    uses_left: int | None


class ListInvites(Command, tag="invite.list"):
    """List the valid invite links of a group."""

    conversation: Id


class Invites(Result, tag="invites"):
    """Invite links, the latest first."""

    items: list[Invite]


@command(
    ListInvites, result=Invites, refuses=("not_found", "forbidden"), http="GET /v1/conversations/{conversation}/invites"
)
async def list_invites(ctx: Ctx, cmd: ListInvites) -> Effects:
    invites = await change_conversation(ctx, cmd.conversation, read_invites, right=Right.ADD)
    return [Reply(Invites(items=invites))]


async def read_invites(tx: ConversationTx) -> list[Invite]:
    return [Invite(**dict(row)) for row in await tx.all(SQL.page, tx.now, MAX_INVITES)]


class RevokeInvite(Command, tag="invite.revoke"):
    """Revoke an invite link."""

    conversation: Id
    invite: Id


@command(
    RevokeInvite,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}/invites/{invite}",
)
async def revoke_invite(ctx: Ctx, cmd: RevokeInvite) -> Effects:
    await change_conversation(ctx, cmd.conversation, end_invite, cmd.invite, right=Right.ADD)
    return [Reply(Ok())]


async def end_invite(tx: ConversationTx, invite: str) -> None:
    """Revoke an invite link. Raises Refused: `not_found`."""
    if await tx.one(SQL.revoke, invite, tx.now) is None:
        raise Refused("not_found", "$.invite: no such invite link")


class ShowInvite(Command, tag="invite.show"):
    """Preview the group behind an invite link."""

    secret: Secret


class Preview(Result, tag="invite.preview"):
    """A group as a user with an invite link sees it. `asks`: a member has to approve each request to join."""

    conversation: Id
    title: Name | None
    description: str | None
    picture: Id | None
    member_count: int
    asks: bool


@command(ShowInvite, result=Preview, cost=2, refuses=("not_found",), http="POST /v1/invites/show")
async def show_invite(ctx: Ctx, cmd: ShowInvite) -> Effects:
    fields = dict(await find_invited_group(ctx, cmd.secret))
    return [Reply(Preview(conversation=fields.pop("id"), asks=fields.pop("joining") == "request", **fields))]


async def find_invited_group(ctx: Ctx, secret: str) -> dict[str, Any]:
    """The group behind a link, as a row of `find`. Raises Refused: `not_found`."""
    row = await ctx.node.db.one(SQL.find, ctx.tenant, digest(secret), ctx.now)
    if row is None:
        raise Refused("not_found", "$.secret: no such invite link")
    return dict(row)
