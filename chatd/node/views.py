"""Rows of the database as the entities of the wire."""

from typing import Any

from chatd.errors import Refused
from chatd.node.context import Ctx
from chatd.store import queries
from chatd.store.postgres import Row
from chatd.wire.entities import Conversation, Counters, Member, Message

SQL = queries.load("views")


def message_of(row: Row, prefix: str = "") -> Message:
    fields = {name: row[prefix + name] for name in Message.__struct_fields__}
    fields["attachments"] = fields["attachments"] or []
    return Message(**fields)


def member_of(row: Row) -> Member:
    return Member(**{name: row[name] for name in Member.__struct_fields__})


def counters_of(row: Row) -> Counters:
    return Counters(**{name: row[name] for name in Counters.__struct_fields__})


async def conversations_of(ctx: Ctx, user: str, ids: list[str]) -> list[Conversation]:
    """Conversations as `user` sees them, in the order of `ids`; those that user is not in are left out."""
    if not ids:
        return []
    rows = await ctx.node.db.all(SQL.conversations, ctx.tenant, user, ids)
    members = await members_of(ctx, ids)
    found = {row["id"]: conversation_of(row, members.get(row["id"], [])) for row in rows}
    return [found[id_] for id_ in ids if id_ in found]


async def members_of(ctx: Ctx, ids: list[str]) -> dict[str, list[Member]]:
    """The first 50 members of each conversation."""
    members: dict[str, list[Member]] = {}
    for row in await ctx.node.db.all(SQL.members, ctx.tenant, ids):
        members.setdefault(row["conversation"], []).append(member_of(row))
    return members


def conversation_of(row: Row, members: list[Member]) -> Conversation:
    last = message_of(row, "last_") if row["last_id"] is not None else None
    counters: dict[str, Any] = {name: row[name] for name in Counters.__struct_fields__}
    return Conversation(
        **counters,
        member_count=row["member_count"],
        members=members,
        last_message=last,
        created_at=row["created_at"],
    )


async def conversation_for(ctx: Ctx, user: str, id_: str) -> Conversation:
    """One conversation. Raises Refused: `not_found`."""
    found = await conversations_of(ctx, user, [id_])
    if not found:
        raise Refused("not_found", "no such conversation")
    return found[0]
