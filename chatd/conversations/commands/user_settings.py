"""What somebody sets for themselves alone, per conversation and for all. Every device of theirs has it; nobody else sees it."""

from collections import Counter
from typing import Annotated, Literal

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.conversations.entities import Conversation, Notify
from chatd.conversations.quiet_hours import Quiet, is_zone
from chatd.conversations.read_model import COUNTED_PER_STATEMENT, conversation_for
from chatd.conversations.settings import PresenceDefaults
from chatd.conversations.signals import VisibilityChanged
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.unnest import columns_of, slices
from chatd.wire.base import Command, Id, Result
from chatd.wire.connection_events import SessionBehind
from chatd.wire.texts import PRIVATE
from chatd.wire.times import Moment

SQL = queries.load("conversations/own")
# Conversations with unread messages that `unread.total` counts.
MAX_UNREAD_CONVERSATIONS = 200


class SetConversation(Command, tag="conversation.settings"):
    """Change what is given, for oneself. `muted_until` in milliseconds (0: not muted, 2^53-1: for ever).

    `hidden` lasts until the next message; `draft` "" is none; `notify` "" is as set for all conversations.
    """

    conversation: Id
    muted_until: Moment | None = None
    archived: bool | None = None
    pinned: bool | None = None
    hidden: bool | None = None
    draft: Annotated[str, Meta(max_length=20_000, extra=PRIVATE)] | None = None
    notify: Notify | Literal[""] | None = None


class OwnConversation(Result, tag="conversation.settings"):
    """The conversation as the asker sees it now."""

    conversation: Conversation


@command(
    SetConversation,
    result=OwnConversation,
    refuses=("not_found",),
    http="PATCH /v1/conversations/{conversation}/settings",
)
async def set_conversation(ctx: Ctx, cmd: SetConversation) -> Effects:
    """Own other devices hear `session.behind`, not what was set: two that set it at once would each end with the other's."""
    given = (cmd.muted_until, cmd.archived, cmd.pinned, cmd.hidden, cmd.draft, cmd.notify)
    if all(value is None for value in given):
        raise Refused("bad_request", "$: nothing to change")
    if await ctx.node.db.value(SQL.set_conversation, ctx.tenant, cmd.conversation, ctx.user, *given, ctx.now) is None:
        raise Refused("not_found", "no such conversation")
    mine = await conversation_for(ctx, ctx.user, cmd.conversation)
    return [Reply(OwnConversation(conversation=mine)), ToUser(ctx.user, SessionBehind(), but=ctx.session)]


class SetUser(Command, tag="user.settings"):
    """Change what is given, for all conversations; without any field it only asks. `loud`: no quiet hours any more."""

    notify: Notify | None = None
    quiet: Quiet | None = None
    loud: bool = False
    show_presence: Literal["nobody", "contacts", "everybody"] | None = None


class UserSettings(Result, tag="user.settings"):
    """How the asker wants to be notified and seen. Contacts are those one has written to in a direct conversation."""

    notify: Notify
    quiet: Quiet | None
    show_presence: Literal["nobody", "contacts", "everybody"]


@command(SetUser, result=UserSettings, http="PATCH /v1/me/settings")
async def set_user(ctx: Ctx, cmd: SetUser) -> Effects:
    if cmd.quiet is not None and not is_zone(cmd.quiet.zone):
        raise Refused("bad_request", "$.quiet.zone: no such time zone; expected one such as Europe/Berlin")
    told: Effects = []
    if cmd != SetUser():
        await ctx.node.db.run(SQL.set_user, ctx.tenant, ctx.user, cmd.notify, plain(cmd.quiet), cmd.loud, cmd.show_presence)
        if cmd.show_presence is not None:
            await ctx.node.signals.send(VisibilityChanged(ctx.tenant, [ctx.user]))
        told = [ToUser(ctx.user, SessionBehind(), but=ctx.session)]
    return [Reply(await settings_of(ctx)), *told]


class ShowSettings(Command, tag="user.settings.get"):
    """What `user.settings` has set."""


@command(ShowSettings, result=UserSettings, http="GET /v1/me/settings")
async def show_settings(ctx: Ctx, _: ShowSettings) -> Effects:
    return [Reply(await settings_of(ctx))]


def plain(quiet: Quiet | None) -> dict[str, str] | None:
    return None if quiet is None else {"from": quiet.from_, "to": quiet.to, "zone": quiet.zone}


async def settings_of(ctx: Ctx) -> UserSettings:
    """With what is usual where nothing was set."""
    row = await ctx.node.db.one(SQL.user, ctx.tenant, ctx.user)
    known = dict(row) if row is not None else {}
    return UserSettings(
        notify=known.get("notify") or "all",
        quiet=Quiet.read(known.get("quiet")),
        show_presence=known.get("show_presence") or ctx.node.config.get(PresenceDefaults).shown_to,
    )


class Unread(Struct, kw_only=True, frozen=True):
    """Messages of others that are unread where it is neither muted nor archived, in how many places, and mentions in all."""

    unread: int
    conversations: int
    mentions: int


class AskUnread(Command, tag="unread.total"):
    """The number for the badge of the app."""


class UnreadTotal(Result, tag="unread.total"):
    """Counts stop at 1000 for a conversation. Of more than 200 conversations with unread messages the last active ones count."""

    total: Unread


@command(AskUnread, result=UnreadTotal, cost=2, http="GET /v1/unread")
async def unread_total(ctx: Ctx, cmd: AskUnread) -> Effects:
    rows = await ctx.node.db.all(SQL.unread, ctx.tenant, ctx.user, ctx.now, MAX_UNREAD_CONVERSATIONS)
    total = Counter[str]()
    for part in slices(rows, COUNTED_PER_STATEMENT):
        total.update(dict(await ctx.node.db.one(SQL.totals, ctx.tenant, ctx.user, *columns_of(map(tuple, part), 2)) or {}))
    return [Reply(UnreadTotal(total=Unread(**{name: total[name] for name in Unread.__struct_fields__})))]
