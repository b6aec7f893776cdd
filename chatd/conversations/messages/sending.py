"""The one road of a message that somebody has written, whether it is sent now or was scheduled for now."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from chatd.app.context import Ctx
from chatd.app.effects import Reply, ToConversation, deliver
from chatd.conversations.attachment_types import MAX_ATTACHMENTS, AttachmentInput
from chatd.conversations.entities import Json, Message, Quote
from chatd.conversations.events import MessageNew
from chatd.conversations.log.entries import Append, Appended
from chatd.conversations.log.writer import Journal
from chatd.conversations.messages.access import check_text, screened
from chatd.conversations.messages.attachments import resolve, shown
from chatd.conversations.messages.screening import Screening
from chatd.conversations.settings import ConversationLimits
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.ids import NIL, uuid7
from chatd.core.text_forms import is_blank
from chatd.db import queries
from chatd.db.jsonb import to_jsonb
from chatd.wire.base import ClientId, Command, Id, Millis, Result, Rev, Seq
from chatd.wire.texts import MESSAGE

SQL = queries.load("conversations/sending")
# What stands for everybody in the table of mentions is nobody's id.
EVERYBODY = NIL


MessageText = Annotated[str, Meta(extra=MESSAGE)]
MessageMeta = Annotated[Json, Meta(extra=MESSAGE)]


class Outgoing(Command):
    """What somebody wants to say, and where."""

    conversation: Id
    client_id: ClientId
    text: MessageText | None = None
    attachments: Annotated[list[AttachmentInput], Meta(max_length=MAX_ATTACHMENTS)] = msgspec.field(default_factory=list)
    reply_to: Id | None = None
    meta: MessageMeta | None = None
    mentions: Annotated[list[Id], Meta(max_length=50)] = msgspec.field(default_factory=list)
    everybody: bool = False


class Committed(Result):
    """What the sender is told of a message that is committed."""

    client_id: ClientId
    message: Id
    seq: Seq
    rev: Rev
    created_at: Millis
    duplicate: bool
    status: Literal["sent"] = "sent"
    expires_at: Millis | UnsetType = UNSET
    text: str | UnsetType = UNSET


Ack = TypeVar("Ack", bound=Committed)


class Content(Struct, frozen=True):
    """What a message says once it was checked and screened. `attachments` in their stored form.

    `mentions`: users by the id that is shown, which is the alias in a match. `quote` is what it replies to.
    """

    text: str | None = None
    attachments: list[Json] = []
    meta: Json | None = None
    mentions: Mapping[str, str] = {}
    quote: Quote | UnsetType = UNSET


def ack_of(kind: type[Ack], client_id: str, asked: str | None, said: str | None, done: Appended) -> Ack:
    """Of a text that was `asked` for, and is `said` as filters have left it."""
    return kind(
        client_id=client_id,
        message=done.id,
        seq=done.seq,
        rev=done.rev,
        created_at=done.created_at,
        duplicate=done.duplicate,
        expires_at=UNSET if done.duplicate or done.expires_at is None else done.expires_at,
        text=UNSET if done.duplicate or said is None or said == asked else said,
    )


async def send(ctx: Ctx, out: Outgoing, ack_of: Callable[[str | None, Appended], Result] | None = None) -> Appended:
    """Check it, commit it, tell it. `ack_of` makes the sender's answer, of the text that was committed and its place.

    Raises Refused: `bad_request`, `too_large`, `not_found` for who is no member, `conflict` for a client_id of another
    conversation, `blocked`, `forbidden`, `unavailable`.
    """
    try:
        said = await check(ctx, out)
    except Refused:
        # What it names may be gone by now. A message that is committed is never refused: it gets its first answer again.
        if not await is_known(ctx, out.client_id):
            raise
        said, out = Content(out.text, [], out.meta), msgspec.structs.replace(out, reply_to=None)
    if ctx.node.services.find(Screening) is not None:
        draft = await screened(ctx, out.conversation, out.client_id, said.text, said.attachments, out.reply_to, out.meta)
        said = msgspec.structs.replace(said, text=draft.text, attachments=draft.attachments, meta=draft.meta)

    async def tell(done: Appended) -> None:
        ack = ack_of(said.text, done) if ack_of is not None else None
        if not done.duplicate:
            ctx.node.hub.traces.accepted((done.id, ctx.session, ctx.now, done.committed_at, done.batch, done.rev))
        news = ToConversation(out.conversation, news_of(ctx, out, said, done), but=ctx.session, ack=ack)
        again = [Reply(ack)] if ack is not None else []
        await deliver(ctx, again if done.duplicate else [news])

    return await ctx.node.get(Journal).append(entry_of(ctx, out, said), tell, ctx.began)


async def check(ctx: Ctx, out: Outgoing) -> Content:
    """That it may be said, as far as it can be known before it is committed. Raises Refused."""
    check_content(ctx, out)
    attachments = await resolve(ctx, out.attachments) if out.attachments else []
    quote = UNSET if out.reply_to is None else await quote_of(ctx, out.conversation, out.reply_to)
    mentions = await existing(ctx, out.conversation, out.mentions) if out.mentions else {}
    return Content(out.text, attachments, out.meta, mentions, quote)


async def existing(ctx: Ctx, conversation: str, ids: Sequence[str]) -> dict[str, str]:
    """Users by their ids, in a match by the aliases of its members, in this order: an unknown id is not stored."""
    rows = await ctx.node.db.all(SQL.existing, ctx.tenant, conversation, ctx.user, list(ids))
    known = {row["id"]: row["user"] for row in rows}
    return {id_: known[id_] for id_ in ids if id_ in known}


async def is_known(ctx: Ctx, client_id: str) -> bool:
    """Whether the asker has sent a message under it already."""
    return await ctx.node.db.one(SQL.known, ctx.tenant, ctx.user, client_id) is not None


def check_content(ctx: Ctx, out: Outgoing) -> None:
    if not out.attachments and is_blank(out.text or ""):
        raise Refused("bad_request", "$: a message needs a visible text or an attachment")
    if EVERYBODY in out.mentions:
        raise Refused("bad_request", "$.mentions: `everybody` is a field of its own")
    if out.text:
        check_text(ctx.node.config, out.text)
    check_payload(ctx.node.config, out)


def check_payload(config: Config, out: Outgoing) -> None:
    """Raises Refused: `too_large`. Every node and every member gets it, and Redis keeps it for a while."""
    size = sum(len(msgspec.json.encode(value)) for value in (out.meta, out.attachments) if value)
    if size > config.get(ConversationLimits).payload_bytes:
        raise Refused(
            "too_large",
            f"$: meta and attachments have at most {config.get(ConversationLimits).payload_bytes} bytes together, as JSON",
        )


async def quote_of(ctx: Ctx, conversation: str, message: str) -> Quote | UnsetType:
    """What is quoted to all; nothing when not all of them may see it. Raises Refused: `not_found`."""
    row = await ctx.node.db.one(SQL.quoted, ctx.tenant, conversation, message, ctx.user)
    if row is None:
        raise Refused("not_found", "$.reply_to: no such message in this conversation")
    fields = dict(row)
    return Quote(message=message, **fields) if fields.pop("for_all") else UNSET


def entry_of(ctx: Ctx, out: Outgoing, said: Content) -> Append:
    return Append(
        ctx.tenant,
        out.conversation,
        ctx.user,
        out.client_id,
        uuid7(ctx.now),
        said.text,
        to_jsonb(said.attachments) if said.attachments else None,
        out.reply_to,
        to_jsonb(said.meta) if said.meta is not None else None,
        extra_of(list(said.mentions.values()), out.everybody),
    )


def extra_of(mentions: Sequence[str], everybody: bool) -> str | None:
    """What the journal keeps beside the text. `everybody` is there only when it is true."""
    named = {"mentions": mentions} if mentions else {}
    extra = {**named, **({"everybody": True} if everybody else {})}
    return to_jsonb(extra) if extra else None


def news_of(ctx: Ctx, out: Outgoing, said: Content, done: Appended) -> MessageNew:
    message = Message(
        id=done.id,
        seq=done.seq,
        rev=done.rev,
        sender=done.alias or ctx.user,
        client_id=out.client_id,
        text=said.text,
        attachments=shown(said.attachments, ctx.files_url),
        reply_to=out.reply_to,
        created_at=done.created_at,
        meta=said.meta,
        quote=said.quote,
        mentions=list(said.mentions) or UNSET,
        mentions_everybody=out.everybody or UNSET,
        expires_at=done.expires_at or UNSET,
    )
    return MessageNew(conversation=out.conversation, rev=done.rev, message=message)
