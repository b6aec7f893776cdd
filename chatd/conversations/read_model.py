"""Rows of the database as entities of the wire."""

from typing import Any, TypeVar

from msgspec import UNSET, Struct, convert
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.conversations.entities import (
    PERSONAL,
    Conversation,
    Counters,
    Departure,
    DraftParts,
    Info,
    Member,
    Message,
    Quote,
    Replies,
    Settings,
)
from chatd.conversations.messages.attachments import shown
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import slices
from chatd.db.postgres import Row

SQL = queries.load("conversations/read_model")
# Conversations whose unread messages one statement counts: up to 5000 rows each.
COUNTED_PER_STATEMENT = 50
T = TypeVar("T")
Entity = TypeVar("Entity", bound=Struct)
# Fields of a message that are absent if the row has no value.
OPTIONAL = tuple(
    name for name, default in zip(Message.__struct_fields__[10:], Message.__struct_defaults__, strict=True)
)
NESTED = {"quote": Quote, "replies": Replies}
FIXED = Message.__struct_fields__[: -len(OPTIONAL)]


def entity_of(kind: type[Entity], row: Row, **more: Any) -> Entity:
    """The fields of the row that the entity has, and `more`."""
    return kind(**{name: row[name] for name in kind.__struct_fields__ if name not in more}, **more)


def message_of(row: Row, files_url: str) -> Message:
    """A row of `message_states` or of `messages_for`."""
    fields = {name: row[name] for name in FIXED}
    fields["attachments"] = shown(fields["attachments"], files_url)
    for name in OPTIONAL:
        value = row.get(name)
        if value is not None and value != []:
            fields[name] = convert(value, NESTED[name]) if name in NESTED else value
    return Message(**fields)


def member_of(row: Row) -> Member:
    return entity_of(Member, row, bot=row["bot"] or UNSET)


def departure_of(row: Row) -> Departure:
    return entity_of(Departure, row)


def info_of(row: Row) -> Info:
    return entity_of(Info, row)


def settings_of(row: Row) -> Settings:
    parts = UNSET if row["draft_parts"] is None else convert(row["draft_parts"], DraftParts)
    return entity_of(Settings, row, labels=row["labels"] or UNSET, draft_parts=parts)


def counters_of(row: Row) -> Counters:
    """A row of `own_conversations`."""
    return entity_of(Counters, row, settings=settings_of(row), alias=row["alias"] or UNSET)


async def conversations_of(ctx: Ctx, user: str, ids: list[str]) -> list[Conversation]:
    """Conversations as `user` sees them, in the order of `ids`; those of which `user` is not a member are left out."""
    if not ids:
        return []
    rows: list[Row] = []
    for part in slices(ids, COUNTED_PER_STATEMENT):
        rows += await ctx.node.db.all(SQL.own_conversations, ctx.tenant, user, part)
    members = await members_of(ctx, user, [row["id"] for row in rows])
    last = {
        row["conversation_id"]: message_of(row, ctx.files_url)
        for row in await ctx.node.db.all(SQL.last_messages, ctx.tenant, user, ids)
    }
    found = {row["id"]: conversation_of(row, members.get(row["id"], []), last.get(row["id"])) for row in rows}
    return [found[id_] for id_ in ids if id_ in found]


async def members_of(ctx: Ctx, user: str, ids: list[str]) -> dict[str, list[Member]]:
    """The first 50 members of each conversation, as `user` sees them."""
    members: dict[str, list[Member]] = {}
    for row in await ctx.node.db.all(SQL.members, ctx.tenant, user, ids):
        members.setdefault(row["conversation"], []).append(member_of(row))
    return members


def conversation_of(row: Row, members: list[Member], last: Message | None) -> Conversation:
    own = {"settings": settings_of(row), "alias": row["alias"] or UNSET}
    return entity_of(Conversation, row, members=members, last_message=last, **own)


def shared(conversation: Conversation) -> Conversation:
    """The conversation without the fields of one member, for all members.

    The last message may not be for all of them either.
    """
    return replace(conversation, last_message=UNSET, **dict.fromkeys(PERSONAL, UNSET))


async def visible_message(ctx: Ctx, conversation: str, message: str) -> Row:
    """`seq` and `sender` of a message that the requester may see. Raises Refused: `not_found`."""
    row = await ctx.node.db.one(SQL.visible_message, ctx.tenant, conversation, ctx.user, message)
    if row is None:
        raise Refused("not_found", "no such message")
    return row


async def conversation_for(ctx: Ctx, user: str, id_: str) -> Conversation:
    """One conversation. Raises Refused: `not_found`."""
    found = await conversations_of(ctx, user, [id_])
    if not found:
        raise Refused("not_found", "no such conversation")
    return found[0]
