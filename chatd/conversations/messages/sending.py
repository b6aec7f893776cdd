"""Sending messages, and reading the history."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import Guard, command
from chatd.conversations.attachment_types import MAX_ATTACHMENTS, AttachmentInput
from chatd.conversations.button_types import Button, Buttons
from chatd.conversations.entities import Json, Message, Quote
from chatd.conversations.events import MessageNew
from chatd.conversations.log.effects import Append
from chatd.conversations.log.entries import Appended, NewMessage
from chatd.conversations.log.statements import refused_thread
from chatd.conversations.log.transaction import SYSTEM_USER
from chatd.conversations.messages.attachments import resolve, shown
from chatd.conversations.messages.buttons import check_may_have_buttons, checked, stored_buttons
from chatd.conversations.messages.screening import screen
from chatd.conversations.messages.text_commands import TextCommands, may_be_command
from chatd.conversations.read_model import message_of
from chatd.conversations.settings import ConversationLimits
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.ids import NIL, uuid7
from chatd.core.text_forms import is_blank
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.jsonb import to_jsonb
from chatd.filters.service import Filters
from chatd.wire.base import ClientId, Command, Id, Limit, Millis, Result, Rev, Seq
from chatd.wire.reference import examples
from chatd.wire.texts import MESSAGE

SQL = queries.load("conversations/sending")
# Represents all members in the table of mentions; no user has this id.
EVERYBODY = NIL
MAX_MENTIONS = 50


MessageText = Annotated[str, Meta(extra=MESSAGE)]
MessageMeta = Annotated[Json, Meta(extra=MESSAGE)]


class MessageInput(Command):
    """A message to send, and its conversation."""

    conversation: Id
    client_id: ClientId
    text: MessageText | None = None
    attachments: Annotated[list[AttachmentInput], Meta(max_length=MAX_ATTACHMENTS)] = msgspec.field(
        default_factory=list
    )
    reply_to: Id | None = None
    meta: MessageMeta | None = None
    mentions: Annotated[list[Id], Meta(max_length=MAX_MENTIONS)] = msgspec.field(default_factory=list)
    everybody: bool = False
    thread: Id | None = None


class MessageWithButtons(MessageInput):
    """A message that may have buttons, if the sender is a bot."""

    actions: Buttons = msgspec.field(default_factory=list)


class SentAck(Result):
    """The acknowledgement of a committed message."""

    client_id: ClientId
    message: Id
    seq: Seq
    rev: Rev
    created_at: Millis
    duplicate: bool
    status: Literal["sent"] = "sent"
    expires_at: Millis | UnsetType = UNSET
    text: str | UnsetType = UNSET


Ack = TypeVar("Ack", bound=SentAck)


class Content(Struct, frozen=True):
    """The checked and screened content of a message. `attachments` are in their stored form.

    `mentions`: users by the id that is shown, which is the alias in a match. `quote` is an excerpt of `reply_to`,
    `thread` the root of the thread.
    """

    text: str | None = None
    attachments: list[Json] = []
    meta: Json | None = None
    reply_to: str | None = None
    quote: Quote | UnsetType = UNSET
    mentions: Mapping[str, str] = {}
    everybody: bool = False
    forwarded: Json | UnsetType = UNSET
    thread: str | None = None
    poll: Json | UnsetType = UNSET
    command: Json | UnsetType = UNSET
    actions: list[list[Button]] = []


def ack_of(kind: type[Ack], client_id: str, sent_text: str | None, stored_text: str | None, done: Appended) -> Ack:
    """The ack of a message. `sent_text`: the text in the command; `stored_text`: the text that the filters left."""
    return kind(
        client_id=client_id,
        message=done.id,
        seq=done.seq,
        rev=done.rev,
        created_at=done.created_at,
        duplicate=done.duplicate,
        expires_at=UNSET if done.duplicate or done.expires_at is None else done.expires_at,
        text=UNSET if done.duplicate or stored_text is None or stored_text == sent_text else stored_text,
    )


async def prepare(ctx: Ctx, out: MessageInput, kind: type[SentAck] | None = None) -> Append:
    """The effect that sends a message, checked and screened. `kind`: the type of the ack for the sender, None for no
    ack.

    Raises Refused: `bad_request`, `too_large`, `not_found`, `forbidden`, `conflict`, `unavailable`.
    """
    try:
        content = await check(ctx, out)
    except Refused:
        # A committed message is never refused: the log repeats its first ack, even if its parts were deleted since.
        if not await is_known(ctx, out.client_id):
            raise
        content = Content(out.text, [], out.meta, everybody=out.everybody, thread=out.thread)
    if ctx.node.services.find(Filters) is not None and ctx.user != SYSTEM_USER:
        screened = await screen(
            ctx,
            out.conversation,
            out.client_id,
            content.text,
            content.attachments,
            content.reply_to,
            content.meta,
            content.actions,
        )
        content = msgspec.structs.replace(
            content,
            text=screened.text,
            attachments=screened.attachments,
            meta=screened.meta,
            actions=screened.actions,
        )
    if content.text is not None and may_be_command(ctx.node, content.text):
        content = await with_command(ctx, out, content, content.text)
    ack = None if kind is None else partial(ack_of, kind, out.client_id, out.text, content.text)
    return append(ctx, out.conversation, out.client_id, content, ack)


async def with_command(ctx: Ctx, out: MessageInput, content: Content, text: str) -> Content:
    """The content with the command that its text is, as the filters have left it. Raises Refused: `bad_request`,
    `conflict`.
    """
    try:
        found = await ctx.node.get(TextCommands).resolve(ctx, out.conversation, text)
    except Refused:
        if not await is_known(ctx, out.client_id):
            raise
        found = None
    return content if found is None else msgspec.structs.replace(content, command=found)


async def check(ctx: Ctx, out: MessageInput) -> Content:
    """Check what can be known before the commit. Raises Refused."""
    check_content(ctx, out)
    actions = await buttons(ctx, out.actions) if isinstance(out, MessageWithButtons) and out.actions else []
    attachments = await resolve(ctx, out.attachments) if out.attachments else []
    quote = UNSET if out.reply_to is None else await quote_of(ctx, out.conversation, out.reply_to)
    mentions = await existing(ctx, out.conversation, out.mentions) if out.mentions else {}
    if out.thread is not None:
        await check_thread(ctx, out.conversation, out.thread)
    return Content(
        out.text,
        attachments,
        out.meta,
        out.reply_to,
        quote,
        mentions,
        out.everybody,
        thread=out.thread,
        actions=actions,
    )


async def buttons(ctx: Ctx, given: list[list[Button]]) -> list[list[Button]]:
    """The buttons as they are stored. Raises Refused: `bad_request`, `forbidden`."""
    stored = checked(given)
    await check_may_have_buttons(ctx)
    return stored


async def check_thread(ctx: Ctx, conversation: str, root: str) -> None:
    """Check that the requester can reply in the thread of a message. The commit checks it again. Raises Refused:
    `not_found`, `conflict`.
    """
    refusal = await ctx.node.db.value(SQL.thread_refusal, ctx.tenant, conversation, ctx.user, root)
    if refusal:
        raise refused_thread(refusal)


async def existing(ctx: Ctx, conversation: str, ids: Sequence[str]) -> dict[str, str]:
    """Users by their ids, in a match by the aliases of its members, in this order. Unknown ids are not stored."""
    rows = await ctx.node.db.all(SQL.resolve_ids, ctx.tenant, conversation, ctx.user, list(ids))
    known = {row["id"]: row["user"] for row in rows}
    return {id_: known[id_] for id_ in ids if id_ in known}


async def is_known(ctx: Ctx, client_id: str) -> bool:
    """Whether the requester has sent a message under this client_id already."""
    return await ctx.node.db.one(SQL.is_stored, ctx.tenant, ctx.user, client_id) is not None


def check_content(ctx: Ctx, out: MessageInput) -> None:
    """Check the content of a message. Raises Refused: `bad_request`, `too_large`."""
    if not out.attachments and is_blank(out.text or ""):
        raise Refused("bad_request", "$: expected a visible text or an attachment")
    check_mentions(out.mentions)
    if out.text:
        check_text(ctx.node.config, out.text)
    actions = out.actions if isinstance(out, MessageWithButtons) else None
    check_payload(ctx.node.config, out.meta, out.attachments, actions)


def check_mentions(ids: Sequence[str]) -> None:
    """Check the ids of mentioned users. Raises Refused: `bad_request`."""
    if EVERYBODY in ids:
        raise Refused("bad_request", "$.mentions: expected ids of users; to mention all members, set `everybody`")


def check_text(config: Config, text: str) -> None:
    """Check the length of a text. Raises Refused: `too_large`."""
    most = config.limits.text_bytes
    if len(text) * 4 > most and len(text.encode()) > most:
        raise Refused("too_large", f"$.text: expected at most {most} bytes in UTF-8")


def check_payload(config: Config, *values: Any) -> None:
    """Check the size of meta, attachments and buttons. Raises Refused: `too_large`. Every node and every member
    receives the payload, and Redis keeps it for a while.
    """
    size = sum(len(msgspec.json.encode(value)) for value in values if value)
    most = config.get(ConversationLimits).payload_bytes
    if size > most:
        raise Refused(
            "too_large", f"$: expected at most {most} bytes in meta, attachments and actions together, as JSON"
        )


async def quote_of(ctx: Ctx, conversation: str, message: str) -> Quote | UnsetType:
    """The quote that all members get; UNSET if some of them may not see the quoted message.

    Raises Refused: `not_found`.
    """
    row = await ctx.node.db.one(SQL.quoted_message, ctx.tenant, conversation, message, ctx.user)
    if row is None:
        raise Refused("not_found", "$.reply_to: no such message in this conversation")
    fields = dict(row)
    return Quote(message=message, **fields) if fields.pop("visible_to_all") else UNSET


def append(
    ctx: Ctx, conversation: str, client_id: str, content: Content, ack: Callable[[Appended], Result] | None
) -> Append:
    """The effect that commits and sends a message."""
    message = NewMessage(
        ctx.tenant,
        conversation,
        ctx.user,
        client_id,
        uuid7(ctx.now),
        content.text,
        to_jsonb(content.attachments) if content.attachments else None,
        content.reply_to,
        to_jsonb(content.meta) if content.meta is not None else None,
        extra_of(content),
    )
    return Append(message, partial(event_of, ctx, message, content), ack)


def extra_of(content: Content) -> str | None:
    """See `NewMessage.extra`."""
    extra: dict[str, Any] = {}
    if content.mentions:
        extra["mentions"] = list(content.mentions.values())
    if content.everybody:
        extra["everybody"] = True
    if content.forwarded is not UNSET:
        extra["forwarded"] = content.forwarded
    if content.thread is not None:
        extra["thread"] = content.thread
    if content.poll is not UNSET:
        extra["poll"] = content.poll
    if content.command is not UNSET:
        extra["command"] = content.command
    if content.actions:
        extra["actions"] = stored_buttons(content.actions)
    return to_jsonb(extra) if extra else None


def event_of(ctx: Ctx, new: NewMessage, content: Content, done: Appended) -> MessageNew:
    """The event for the other sessions. In a match, the sender is known by an alias."""
    sender, forwarded = done.alias or new.sender, content.forwarded
    if forwarded is not UNSET and forwarded.get("sender") == new.sender:
        forwarded = {**forwarded, "sender": sender}
    message = Message(
        id=done.id,
        seq=done.seq,
        rev=done.rev,
        sender=sender,
        client_id=new.client_id,
        text=content.text,
        attachments=shown(content.attachments, ctx.files_url),
        reply_to=content.reply_to,
        created_at=done.created_at,
        meta=content.meta,
        quote=content.quote,
        mentions=list(content.mentions) or UNSET,
        mentions_everybody=content.everybody or UNSET,
        forwarded=forwarded,
        expires_at=done.expires_at or UNSET,
        thread=content.thread or UNSET,
        poll=content.poll,
        command=content.command,
        actions=content.actions or UNSET,
    )
    return MessageNew(conversation=new.conversation, rev=done.rev, message=message)


class SendMessage(MessageWithButtons, tag="message.send"):
    """Send a message. It needs a text or an attachment.

    Sending it again with the same `client_id` gives the same ack and no second message, without a time limit. An
    attachment names an `upload` that the sender may read, or the `url` of a link. `mentions`: members to notify; ids of
    others are ignored. `everybody`: mention all members; in a group this needs a right. `reply_to` quotes a message;
    `thread` puts the message into the thread of another one, the root, which is no reply in a thread itself. A text
    such as `/weather Porto` is a command, if a bot in the conversation has declared it, see docs/bots.md. `actions`:
    rows of buttons, for bots only.
    """


class MessageAck(SentAck, tag="message.ack"):
    """The message is committed. `duplicate`: it had been committed before, and this repeats the first ack.

    Acks and events of a conversation reach a connection in the order of `rev`, also after a `behind`. Only the `rev` of
    a duplicate may be lower than an earlier one. `expires_at`: when the message disappears. `text`: the stored text, if
    a filter has changed it. Neither comes with a duplicate.
    """

    EXAMPLE: ClassVar = examples.Example(message=examples.MESSAGE)


def pipeline(ctx: Ctx, cmd: SendMessage) -> str | None:
    """The pipeline key of a message: its conversation, if nothing has to be read before the commit."""
    waits = cmd.attachments or cmd.reply_to is not None or cmd.mentions or cmd.thread is not None or cmd.actions
    if waits or cmd.meta is not None or not cmd.text:
        return None
    is_short = len(cmd.text) * 4 <= ctx.node.config.limits.text_bytes
    is_screened = ctx.node.services.find(Filters) is not None or may_be_command(ctx.node, cmd.text)
    return None if not is_short or is_screened or is_blank(cmd.text) else cmd.conversation


@command(
    SendMessage,
    result=MessageAck,
    refuses=("not_found", "conflict", "too_large", "blocked", "forbidden"),
    http="POST /v1/conversations/{conversation}/messages",
    is_bounded=True,
    pipeline=pipeline,
)
async def send_message(ctx: Ctx, cmd: SendMessage) -> Effects:
    """`not_found`: the requester is not a member, or a message, upload or conversation does not exist. `conflict`: the
    `client_id` was used in another conversation; `thread` was deleted, is a reply itself, or a system message; or
    several bots have this command. `bad_request`: arguments of a command do not fit its declaration. `too_large`: the
    text is too long, or `meta`, `attachments` and `actions` have more than 8 KB as JSON. `blocked`: one of the two has
    blocked the other. `forbidden`: a filter refuses the message, only moderators and above may write or mention
    everybody, or `actions` are from a user who is no bot.
    """
    return [await prepare(ctx, cmd, MessageAck)]


class MessageHistory(Command, tag="message.history"):
    """Get a page of messages: the latest, those before the seq `before`, or those after the seq `after`. The order is
    that of `seq`.
    """

    conversation: Id
    before: Seq | None = None
    after: Seq | None = None
    limit: Limit = 50


class Messages(Result, tag="messages"):
    """A page of messages. `more`: there are further messages in the requested direction."""

    items: list[Message]
    more: bool


@command(
    MessageHistory,
    result=Messages,
    guard=Guard.MEMBER,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/messages",
)
async def message_history(ctx: Ctx, cmd: MessageHistory) -> Effects:
    if cmd.before is not None and cmd.after is not None:
        raise Refused("bad_request", "$: expected before or after, not both")
    statement = SQL.history_before if cmd.after is None else SQL.history_after
    edge = cmd.before if cmd.after is None else cmd.after
    rows = await ctx.node.db.all(statement, ctx.tenant, cmd.conversation, ctx.user, edge, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = sorted((message_of(row, ctx.files_url) for row in page), key=lambda message: message.seq)
    return [Reply(Messages(items=items, more=more))]
