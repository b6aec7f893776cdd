"""Reactions to messages.

A user has one or several on a message, as configured; the counts are stored in the message itself.
"""

from typing import Annotated

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation
from chatd.app.registry import Guard, command
from chatd.conversations.effects import update_event
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.read_model import message_of, visible_message
from chatd.conversations.settings import MessageSettings
from chatd.core.emoji import MAX_LENGTH, is_emoji
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.postgres import Row
from chatd.wire.base import Command, Event, Id, Limit, Name, Ok, Result
from chatd.wire.texts import KEY, LOOKUP

SQL = queries.load("conversations/reactions")
# Different emoji on one message, and those of one user.
MAX_KINDS, MAX_OWN = 64, 16
Emoji = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH, extra=KEY)]
NamedEmoji = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH, extra=LOOKUP)]


class AddReaction(Command, tag="reaction.add"):
    """React to a message with an emoji. If `messages.reactions` is `one`, it replaces the previous reaction of the
    requester.

    Adding the same reaction again changes nothing.
    """

    conversation: Id
    message: Id
    emoji: Emoji


@command(
    AddReaction,
    result=Ok,
    refuses=("not_found", "conflict", "too_large", "blocked", "forbidden"),
    http="PUT /v1/conversations/{conversation}/messages/{message}/reactions/{emoji}",
    uncancellable=True,
)
async def add_reaction(ctx: Ctx, cmd: AddReaction) -> Effects:
    """`conflict`: the message was deleted. `too_large`: the message has too many different reactions, or too many of
    the requester. `forbidden`: a filter refuses the emoji.
    """
    if not is_emoji(cmd.emoji):
        raise Refused("bad_request", "$.emoji: expected one emoji, or the :name: of one")
    is_only = ctx.node.config.get(MessageSettings).reactions == "one"
    updates = await change_conversation(ctx, cmd.conversation, write_reaction, cmd, is_only)
    return [*reaction_events(cmd.conversation, updates), Reply(Ok())]


async def write_reaction(tx: ConversationTx, cmd: AddReaction, is_only: bool) -> list[Event]:
    """Add a reaction. `is_only`: it replaces the other reactions of the requester to the message.

    Raises Refused: `not_found`, `conflict`, `too_large`.
    """
    row = await reactable(tx, cmd.message)
    own = [found["emoji"] for found in await tx.all(SQL.emoji_of_user, row["seq"], tx.user)]
    if cmd.emoji in own:
        return []
    replaced = own if is_only else []
    removed = [await remove(tx, cmd.message, row["seq"], emoji) for emoji in replaced]
    check_limits(row["reactions"] or {}, own if not replaced else [], cmd.emoji)
    await tx.run(SQL.add, row["seq"], tx.user, cmd.emoji, tx.now, tx.next_rev())
    return [*removed, await update_of(tx, cmd.message, cmd.emoji, on=True)]


async def reactable(tx: ConversationTx, message: str) -> Row:
    """The message, if it accepts reactions. Raises Refused: `not_found`, `conflict`."""
    row = await tx.message(message)
    if row["deleted_at"] is not None:
        raise Refused("conflict", "the message was deleted")
    return row


def check_limits(counts: dict[str, int], own: list[str], emoji: str) -> None:
    """Check the number of reactions to a message. Raises Refused: `too_large`."""
    if len(own) >= MAX_OWN or (emoji not in counts and len(counts) >= MAX_KINDS):
        raise Refused("too_large", f"a message has at most {MAX_KINDS} different reactions, and {MAX_OWN} of one user")


async def remove(tx: ConversationTx, message: str, seq: int, emoji: str) -> Event:
    await tx.run(SQL.remove, seq, tx.user, emoji, tx.next_rev())
    return await update_of(tx, message, emoji, on=False)


async def update_of(tx: ConversationTx, message: str, emoji: str, *, on: bool) -> Event:
    """The event for the members."""
    return update_event(tx, message_of(await tx.message(message), tx.files_url), "reaction", emoji=emoji, on=on)


def reaction_events(conversation: str, updates: list[Event]) -> Effects:
    return [ToConversation(conversation, update) for update in updates]


class RemoveReaction(Command, tag="reaction.remove"):
    """Remove a reaction of the requester."""

    conversation: Id
    message: Id
    emoji: NamedEmoji


@command(
    RemoveReaction,
    result=Ok,
    refuses=("not_found",),
    http="DELETE /v1/conversations/{conversation}/messages/{message}/reactions/{emoji}",
    uncancellable=True,
)
async def remove_reaction(ctx: Ctx, cmd: RemoveReaction) -> Effects:
    """Removing a reaction that does not exist changes nothing."""
    updates = await change_conversation(ctx, cmd.conversation, remove_own, cmd.message, cmd.emoji, allow_blocked=True)
    return [*reaction_events(cmd.conversation, updates), Reply(Ok())]


async def remove_own(tx: ConversationTx, message: str, emoji: str) -> list[Event]:
    """Remove a reaction of the requester. Raises Refused: `not_found`."""
    row = await tx.message(message)
    own = [found["emoji"] for found in await tx.all(SQL.emoji_of_user, row["seq"], tx.user)]
    return [await remove(tx, message, row["seq"], emoji)] if emoji in own else []


class Reactor(Struct, kw_only=True, frozen=True):
    """A user with their reactions to a message, the earliest first."""

    user: Id
    name: Name | None
    emoji: list[str]


class ListReactions(Command, tag="reaction.list"):
    """List the users who reacted to a message, with this emoji or with any. `cursor`: from the page before."""

    conversation: Id
    message: Id
    emoji: NamedEmoji | None = None
    cursor: Id | None = None
    limit: Limit = 100


class Reactions(Result, tag="reactions"):
    """Users with their reactions, ordered by id. `cursor` is null on the last page."""

    items: list[Reactor]
    cursor: Id | None


@command(
    ListReactions,
    result=Reactions,
    guard=Guard.MEMBER,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/messages/{message}/reactions",
)
async def list_reactions(ctx: Ctx, cmd: ListReactions) -> Effects:
    """`not_found`: the requester may not see the message."""
    found = await visible_message(ctx, cmd.conversation, cmd.message)
    window = (found["seq"], cmd.emoji, cmd.cursor, cmd.limit + 1)
    statement = SQL.page_in_match if found["in_match"] else SQL.page
    rows = await ctx.node.db.all(statement, ctx.tenant, cmd.conversation, *window)
    page, more = page_of(rows, cmd.limit)
    items = [Reactor(**dict(row)) for row in page]
    return [Reply(Reactions(items=items, cursor=items[-1].user if more else None))]
