"""Reactions to messages: any emoji, one or many per user as configured, counted in the message itself."""

from typing import Annotated

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation
from chatd.app.registry import Needs, command
from chatd.conversations.log.transaction import Change, change
from chatd.conversations.messages.access import message_in, told_update
from chatd.conversations.read_model import message_of, page_of, seen_message
from chatd.conversations.settings import MessageSettings
from chatd.core.emoji import MAX_LENGTH, is_emoji
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.wire.base import Command, Event, Id, Limit, Name, Ok, Result
from chatd.wire.texts import KEY, LOOKUP

SQL = queries.load("conversations/reactions")
# Different emoji of one message, and of one user on it.
MOST_KINDS, MOST_OWN = 64, 16
Emoji = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH, extra=KEY)]
NamedEmoji = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH, extra=LOOKUP)]


class AddReaction(Command, tag="reaction.add"):
    """React to a message. The same emoji twice is once; where only one is allowed it takes the place of the one before."""

    conversation: Id
    message: Id
    emoji: Emoji


@command(
    AddReaction,
    result=Ok,
    refuses=("not_found", "conflict", "too_large", "blocked", "forbidden"),
    http="PUT /v1/conversations/{conversation}/messages/{message}/reactions/{emoji}",
    lasting=True,
)
async def add_reaction(ctx: Ctx, cmd: AddReaction) -> Effects:
    """Refused `conflict` for a deleted message, `too_large` for too many different ones, `forbidden` by a filter."""
    if not is_emoji(cmd.emoji):
        raise Refused("bad_request", "$.emoji: expected one emoji, or the :name: of one")

    async def work(here: Change) -> list[Event]:
        row = await reactable(here, cmd.message)
        own = [found["emoji"] for found in await here.all(SQL.own, row["seq"], here.user)]
        if cmd.emoji in own:
            return []
        replaced = own if ctx.node.config.get(MessageSettings).reactions == "one" else []
        taken = [await take_back(here, cmd, row["seq"], emoji) for emoji in replaced]
        check_room(row["reactions"] or {}, own if not replaced else [], cmd.emoji)
        await here.run(SQL.add, row["seq"], here.user, cmd.emoji, here.now, here.next_rev())
        return [*taken, await update_of(here, cmd.message, cmd.emoji, on=True)]

    return [*told(cmd.conversation, await change(ctx, cmd.conversation, work)), Reply(Ok())]


async def reactable(here: Change, message: str) -> Row:
    """Raises Refused."""
    row = await message_in(here, message)
    if row["deleted_at"] is not None:
        raise Refused("conflict", "the message was deleted")
    return row


def check_room(counts: dict[str, int], own: list[str], emoji: str) -> None:
    """Raises Refused: `too_large`."""
    if len(own) >= MOST_OWN or (emoji not in counts and len(counts) >= MOST_KINDS):
        raise Refused("too_large", f"at most {MOST_KINDS} different reactions, and {MOST_OWN} of one user")


async def take_back(here: Change, cmd: "AddReaction | RemoveReaction", seq: int, emoji: str) -> Event:
    await here.run(SQL.remove, seq, here.user, emoji, here.next_rev())
    return await update_of(here, cmd.message, emoji, on=False)


async def update_of(here: Change, message: str, emoji: str, *, on: bool) -> Event:
    """What is told of it."""
    return told_update(here, message_of(await message_in(here, message), here.files_url), "reaction", emoji=emoji, on=on)


def told(conversation: str, updates: list[Event]) -> Effects:
    return [ToConversation(conversation, update) for update in updates]


class RemoveReaction(Command, tag="reaction.remove"):
    """Take a reaction back."""

    conversation: Id
    message: Id
    emoji: NamedEmoji


@command(
    RemoveReaction,
    result=Ok,
    refuses=("not_found",),
    http="DELETE /v1/conversations/{conversation}/messages/{message}/reactions/{emoji}",
    lasting=True,
)
async def remove_reaction(ctx: Ctx, cmd: RemoveReaction) -> Effects:
    """One that is not there need not be taken back."""

    async def work(here: Change) -> list[Event]:
        row = await message_in(here, cmd.message)
        own = [found["emoji"] for found in await here.all(SQL.own, row["seq"], here.user)]
        return [await take_back(here, cmd, row["seq"], cmd.emoji)] if cmd.emoji in own else []

    return [*told(cmd.conversation, await change(ctx, cmd.conversation, work, blocked=True)), Reply(Ok())]


class Reactor(Struct, kw_only=True, frozen=True):
    """Somebody who has reacted, and with what, the first one first."""

    user: Id
    name: Name | None
    emoji: list[str]


class ListReactions(Command, tag="reaction.list"):
    """Who has reacted to a message, with this emoji or with any. `cursor` from the page before."""

    conversation: Id
    message: Id
    emoji: NamedEmoji | None = None
    cursor: Id | None = None
    limit: Limit = 100


class Reactions(Result, tag="reactions"):
    """By user id. `cursor` is null on the last page."""

    items: list[Reactor]
    cursor: Id | None


@command(
    ListReactions,
    result=Reactions,
    needs=Needs.MEMBER,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/messages/{message}/reactions",
)
async def list_reactions(ctx: Ctx, cmd: ListReactions) -> Effects:
    """Refused `not_found` for a message that the asker may not see."""
    found = await seen_message(ctx, cmd.conversation, cmd.message)
    window = (found["seq"], cmd.emoji, cmd.cursor, cmd.limit + 1)
    statement = SQL.page_in_match if found["in_match"] else SQL.page
    rows = await ctx.node.db.all(statement, ctx.tenant, cmd.conversation, *window)
    page, more = page_of(rows, cmd.limit)
    items = [Reactor(**dict(row)) for row in page]
    return [Reply(Reactions(items=items, cursor=items[-1].user if more else None))]
