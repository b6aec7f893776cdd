"""A user's own settings, for one conversation and for all. Only the devices of the user get them."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct, to_builtins

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, SendSignal, ToUser
from chatd.app.registry import command
from chatd.conversations.commands.labels import check_labels, distinct, lock_labels
from chatd.conversations.entities import MAX_LABELS, Conversation, DraftParts, Label, Notify
from chatd.conversations.membership import check_member
from chatd.conversations.messages.attachments import resolve
from chatd.conversations.messages.sending import check_payload, check_thread, quote_of
from chatd.conversations.quiet_hours import Quiet, is_zone
from chatd.conversations.read_model import COUNTED_PER_STATEMENT, conversation_for
from chatd.conversations.settings import ConsentSettings, PresenceDefaults
from chatd.conversations.signals import VisibilityChanged
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import slices, to_unnest_arrays
from chatd.db.postgres import Row, Tx
from chatd.wire.base import Command, Id, Result
from chatd.wire.connection_events import SessionBehind
from chatd.wire.reference.examples import Example
from chatd.wire.texts import PRIVATE
from chatd.wire.times import Moment

SQL = queries.load("conversations/user_settings")
# Conversations with unread messages that `unread.total` counts.
MAX_UNREAD_CONVERSATIONS = 200
Audience = Literal["nobody", "contacts", "everybody"]


class SetConversation(Command, tag="conversation.settings"):
    """Change the given settings of a conversation for the requester.

    `muted_until`: in milliseconds; 0: not muted, 2^53-1: forever. `hidden` lasts until the next message. `draft`: its
    text; "" removes the draft. `draft_parts`: its attachments, `reply_to` and `thread`, in the place of the present
    ones; without any field it removes these. `notify`: "" means the setting for all conversations. `labels`: all labels
    of the conversation, in the place of the present ones.
    """

    conversation: Id
    muted_until: Moment | None = None
    archived: bool | None = None
    pinned: bool | None = None
    hidden: bool | None = None
    draft: Annotated[str, Meta(max_length=20_000, extra=PRIVATE)] | None = None
    notify: Notify | Literal[""] | None = None
    labels: Annotated[list[Label], Meta(max_length=MAX_LABELS)] | None = None
    draft_parts: DraftParts | None = None
    EXAMPLE: ClassVar = Example(shown=("archived",))


class OwnConversation(Result, tag="conversation.settings"):
    """The conversation as the requester sees it now."""

    conversation: Conversation


@command(
    SetConversation,
    result=OwnConversation,
    refuses=("not_found", "conflict", "too_large"),
    http="PATCH /v1/conversations/{conversation}/settings",
)
async def set_conversation(ctx: Ctx, cmd: SetConversation) -> Effects:
    """Other devices of the requester get `session.behind`. `not_found`: there is no such conversation, or no such
    message or upload of the draft. `conflict`: the draft is a reply in a thread that is closed, see message.send.
    `too_large`: the requester has too many different labels (`limits.labels_per_user`), or the attachments have more
    than 8 KB as JSON.
    """
    labels = None if cmd.labels is None else distinct(cmd.labels)
    parts = None if cmd.draft_parts is None else to_builtins(cmd.draft_parts)
    given = (cmd.muted_until, cmd.archived, cmd.pinned, cmd.hidden, cmd.draft, cmd.notify, labels, parts)
    if all(value is None for value in given):
        raise Refused("bad_request", "$: expected at least one field to change")
    if cmd.draft_parts is not None:
        await check_member(ctx, cmd)
        await check_draft(ctx, cmd.conversation, cmd.draft_parts)
    # Other devices get no values: of two that change a setting at once, each would end with the value of the other.
    await ctx.node.db.in_transaction(write_settings, ctx, cmd, given)
    mine = await conversation_for(ctx, ctx.user, cmd.conversation)
    return [Reply(OwnConversation(conversation=mine)), ToUser(ctx.user, SessionBehind(), ctx.origin)]


async def check_draft(ctx: Ctx, conversation: str, draft: DraftParts) -> None:
    """Check that the requester could send these parts now. Raises Refused: `bad_request`, `not_found`, `conflict`,
    `too_large`.
    """
    check_payload(ctx.node.config, draft.attachments)
    await resolve(ctx, draft.attachments)
    if draft.reply_to is not None:
        await quote_of(ctx, conversation, draft.reply_to)
    if draft.thread is not None:
        await check_thread(ctx, conversation, draft.thread)


async def write_settings(tx: Tx, ctx: Ctx, cmd: SetConversation, given: Sequence[Any]) -> None:
    """Store the settings of a member, as they are `given`. Raises Refused: `not_found`, `too_large`."""
    if cmd.labels:
        await lock_labels(tx, ctx)
    key = (ctx.tenant, cmd.conversation, ctx.user)
    if await tx.value(SQL.set_conversation, *key, *given, ctx.now) is None:
        raise Refused("not_found", "no such conversation")
    if cmd.labels:
        await check_labels(tx, ctx)
    if cmd.draft_parts is not None or cmd.draft == "":
        attachments = [] if cmd.draft_parts is None else cmd.draft_parts.attachments
        uploads = list({one.upload for one in attachments if one.upload is not None})
        if await tx.value(SQL.set_draft_uploads, *key, uploads) != len(uploads):
            raise Refused("not_found", "$.draft_parts.attachments: no such upload")


class SetUser(Command, tag="user.settings"):
    """Update the settings of the requester for all conversations. Omitted fields stay unchanged; with no fields the
    current settings are returned.

    `loud`: true removes the quiet hours. `allow_messages`, `allow_groups`, `allow_calls`: who needs no request to write
    to the requester first, to add them to groups, and to call them.
    """

    notify: Notify | None = None
    quiet: Quiet | None = None
    loud: bool = False
    show_presence: Audience | None = None
    allow_messages: Audience | None = None
    allow_groups: Audience | None = None
    allow_calls: Audience | None = None
    EXAMPLE: ClassVar = Example(shown=("notify",))


class UserSettings(Result, tag="user.settings"):
    """The settings of the requester for notifications, presence and consent. Contacts are the users the requester has
    made contacts (contact.add), has accepted a request of, has kept a match with, or started a direct conversation with
    or replied to in one.
    """

    notify: Notify
    quiet: Quiet | None
    show_presence: Audience
    allow_messages: Audience
    allow_groups: Audience
    allow_calls: Audience


@command(SetUser, result=UserSettings, http="PATCH /v1/me/settings")
async def set_user(ctx: Ctx, cmd: SetUser) -> Effects:
    if cmd.quiet is not None and not is_zone(cmd.quiet.zone):
        raise Refused("bad_request", "$.quiet.zone: expected a time zone such as Europe/Berlin")
    if cmd == SetUser():
        return [Reply(await read_settings(ctx))]
    audiences = (cmd.show_presence, cmd.allow_messages, cmd.allow_groups, cmd.allow_calls)
    changes = (cmd.notify, plain(cmd.quiet), cmd.loud, *audiences)
    row = await ctx.node.db.one(SQL.set_user, ctx.tenant, ctx.user, *changes)
    shown: Effects = [] if cmd.show_presence is None else [SendSignal(VisibilityChanged(ctx.tenant, [ctx.user]))]
    return [*shown, Reply(settings_of(ctx, row)), ToUser(ctx.user, SessionBehind(), ctx.origin)]


class ShowSettings(Command, tag="user.settings.get"):
    """Get the settings that `user.settings` changes."""


@command(ShowSettings, result=UserSettings, http="GET /v1/me/settings")
async def show_settings(ctx: Ctx, _: ShowSettings) -> Effects:
    return [Reply(await read_settings(ctx))]


async def read_settings(ctx: Ctx) -> UserSettings:
    return settings_of(ctx, await ctx.node.db.one(SQL.get_user, ctx.tenant, ctx.user))


def plain(quiet: Quiet | None) -> dict[str, str] | None:
    return None if quiet is None else {"from": quiet.from_, "to": quiet.to, "zone": quiet.zone}


def settings_of(ctx: Ctx, row: Row | None) -> UserSettings:
    """The settings of a user; those that are not set have their defaults."""
    known = dict(row) if row is not None else {}
    consent = ctx.node.config.get(ConsentSettings).default
    return UserSettings(
        notify=known.get("notify") or "all",
        quiet=Quiet.read(known.get("quiet")),
        show_presence=known.get("show_presence") or ctx.node.config.get(PresenceDefaults).shown_to,
        allow_messages=known.get("allow_messages") or consent,
        allow_groups=known.get("allow_groups") or consent,
        allow_calls=known.get("allow_calls") or consent,
    )


class Unread(Struct, kw_only=True, frozen=True):
    """Unread messages of others in conversations that are neither muted nor archived, the number of these
    conversations, and the unread mentions in all conversations.
    """

    unread: int
    conversations: int
    mentions: int


class AskUnread(Command, tag="unread.total"):
    """Get the number of unread messages, for the badge of an app."""


class UnreadTotal(Result, tag="unread.total"):
    """The counts. A conversation counts for at most 1000 messages, and only the 200 most recently active unread
    conversations count.
    """

    total: Unread


@command(AskUnread, result=UnreadTotal, cost=2, http="GET /v1/unread")
async def unread_total(ctx: Ctx, cmd: AskUnread) -> Effects:
    rows = await ctx.node.db.all(SQL.unread_conversations, ctx.tenant, ctx.user, ctx.now, MAX_UNREAD_CONVERSATIONS)
    total = Counter[str]()
    for part in slices(rows, COUNTED_PER_STATEMENT):
        total.update(
            dict(
                await ctx.node.db.one(SQL.unread_totals, ctx.tenant, ctx.user, *to_unnest_arrays(map(tuple, part), 2))
                or {}
            )
        )
    return [Reply(UnreadTotal(total=Unread(**{name: total[name] for name in Unread.__struct_fields__})))]
