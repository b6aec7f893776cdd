"""Conversations as a backend sees them: what all members share, without the fields of one of them."""

from collections.abc import Callable
from typing import ClassVar

from msgspec import UNSET, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effect, Effects, deliver
from chatd.cluster.control_messages import RecheckConversation
from chatd.conversations.entities import PERSONAL, Conversation, Member
from chatd.conversations.read_model import entity_of, member_of, shared
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.wire.base import Result
from chatd.wire.reference.examples import Example

SQL = queries.load("server_api/views")
MAX_MEMBERS_SHOWN = 50


class ServerConversation(Result, tag="server.conversation"):
    """A conversation without the fields of one member. `created`: the command has created it."""

    conversation: Conversation
    external_id: str | None
    created: bool
    EXAMPLE: ClassVar = Example(external_id="order-4711")


class View(Struct, frozen=True):
    """A conversation that is read for a backend, and its external id."""

    conversation: Conversation
    external_id: str | None

    def result(self, *, created: bool = False) -> ServerConversation:
        return ServerConversation(conversation=self.conversation, external_id=self.external_id, created=created)

    @property
    def shared(self) -> Conversation:
        """The conversation as it is sent to all members."""
        return shared(self.conversation)


async def view_of(ctx: Ctx, conversation: str) -> View:
    """One conversation. Raises Refused: `not_found`."""
    row = await ctx.node.db.one(SQL.conversations, ctx.tenant, [conversation])
    if row is None:
        raise Refused("not_found", "no such conversation")
    members, _ = await members_page(ctx, conversation, None, MAX_MEMBERS_SHOWN)
    absent = dict.fromkeys(PERSONAL, UNSET)
    seen = entity_of(Conversation, row, members=members, last_message=UNSET, **absent)
    return View(seen, row["external_id"])


async def members_page(ctx: Ctx, conversation: str, after: str | None, limit: int) -> tuple[list[Member], bool]:
    """Members after an id, and whether there are more."""
    rows = await ctx.node.db.all(SQL.members, ctx.tenant, conversation, after, limit + 1)
    page, more = page_of(rows, limit)
    return [member_of(row) for row in page], more


class WithView(Effect, frozen=True):
    """Read a conversation that has changed, and deliver what `effects` makes of it. If it cannot be read, its members
    get `behind`.
    """

    conversation: str
    effects: Callable[[View], Effects]

    async def deliver(self, ctx: Ctx) -> None:
        view = None
        try:
            view = await view_of(ctx, self.conversation)
        finally:
            if view is None:
                await ctx.node.cluster.broadcast(RecheckConversation(ctx.tenant, self.conversation))
        await deliver(ctx, self.effects(view))
