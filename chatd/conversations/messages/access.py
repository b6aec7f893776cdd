"""What several features need of a message: its text within bounds, and the message itself within a change."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import ToConversation
from chatd.conversations.entities import Json, Message
from chatd.conversations.events import MessageNew, MessageUpdate, Why
from chatd.conversations.log.transaction import Change
from chatd.conversations.messages.screening import Draft, Screening
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.ids import NIL
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.wire.connection_events import Behind

SQL = queries.load("conversations/message_states")
# Who changes something that nobody asked for.
NOBODY = NIL


def check_text(config: Config, text: str) -> None:
    """Raises Refused: `too_large`."""
    most = config.limits.text_bytes
    if len(text) * 4 > most and len(text.encode()) > most:
        raise Refused("too_large", f"$.text: at most {most} bytes")


async def message_in(here: Change, message: str) -> Row:
    """A row of `message_states`, when the asker may see it. Raises Refused: `not_found`."""
    row = await here.one(SQL.by_id, message, here.place.first_seq or 1)
    if row is None:
        raise Refused("not_found", "no such message")
    return row


def told_message(conversation: str, message: Message) -> ToConversation:
    """A message that is new, also one that says what happened."""
    return ToConversation(conversation, MessageNew(conversation=conversation, rev=message.rev, message=message))


def told_update(here: Change, message: Message, change: Why, **more: Any) -> MessageUpdate | Behind:
    """What all members are told of a change. Of a message that not all of them may see, only that something has changed."""
    if message.seq < here.late_seq:
        return Behind(conversation=here.conversation, rev=message.rev)
    if message.quote is not UNSET and message.quote.seq < here.late_seq:
        message = replace(message, quote=UNSET)
    return MessageUpdate(
        conversation=here.conversation,
        rev=message.rev,
        message=message,
        change=change,
        by=UNSET if here.user == NOBODY else here.shown_as,
        **more,
    )


async def screened(
    ctx: Ctx,
    conversation: str,
    client_id: str,
    text: str | None,
    attachments: Sequence[Json] = (),
    reply_to: str | None = None,
    meta: Json | None = None,
) -> Draft:
    """A message as filters and hook leave it; what is stored under the client id already is let through. Raises Refused."""
    draft = Draft(ctx.tenant, conversation, ctx.user, client_id, text, list(attachments), reply_to, meta)
    screening = ctx.node.services.find(Screening)
    return draft if screening is None else await screening.screen(draft)
