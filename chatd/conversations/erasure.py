"""Erasing what conversations store about a user.

Each step finds what is left in the data itself, and can be repeated. Passes through the messages, by client_id, are
repeated until one finds nothing. Messages of other users stay as they are, also where they quote, mention or forward an
erased one: a quote shows the present state of the message, which is a tombstone.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from chatd.app.effects import Effects, ToConversation, deliver
from chatd.app.personal_data import Erasing
from chatd.conversations.effects import departure_events, member_events, update_event
from chatd.conversations.entities import Member
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.membership import leave_group, member_in
from chatd.conversations.messages import deletion
from chatd.core.errors import Refused
from chatd.core.ids import NIL
from chatd.db import queries
from chatd.db.postgres import Row

SQL = queries.load("conversations/erasure")
REACTIONS = queries.load("conversations/reactions")
# Conversations that are left between two renewals of the lease.
PAGE = 50


async def erase(erasing: Erasing) -> None:
    await leave_all(erasing)
    await delete_messages(erasing)
    while erasing.removed_in_pass:
        await erasing.restart()
        await delete_messages(erasing)
    await remove_reactions(erasing)
    await erasing.in_batches(SQL.delete_marks)


async def leave_all(erasing: Erasing) -> None:
    """Leave all groups. In a direct conversation the user stays a member, without a name and without settings."""
    after = NIL
    while rows := await erasing.node.db.all(SQL.memberships, *erasing.key, after, PAGE):
        for row in rows:
            with suppress(Refused):
                await leave(erasing, row)
        after = rows[-1]["id"]
        await erasing.hold()


async def leave(erasing: Erasing, row: Row) -> None:
    """Leave one group. Raises Refused: `not_found` if another node did it first."""
    ctx, conversation = erasing.ctx, row["id"]
    if row["kind"] == "direct":
        await deliver(
            ctx, member_events(conversation, [await change_conversation(ctx, conversation, strip, allow_blocked=True)])
        )
    else:
        await deliver(ctx, departure_events(conversation, await change_conversation(ctx, conversation, leave_group)))


async def delete_messages(erasing: Erasing) -> None:
    """One pass through the messages of the user, from the stored position on."""
    while rows := await erasing.node.db.all(SQL.messages, *erasing.key, erasing.position, erasing.batch_size):
        removed = 0
        for conversation, found in grouped(row for row in rows if not row["is_deleted_or_system"]):
            removed += await delete_in(erasing, conversation, [row["seq"] for row in found])
        await erasing.advance(rows[-1]["client_id"], removed)


async def delete_in(erasing: Erasing, conversation: str, seqs: Sequence[int]) -> int:
    ctx = erasing.ctx
    effects = await change_conversation(
        ctx, conversation, delete_remaining, seqs, allow_non_member=True, allow_blocked=True
    )
    await deliver(ctx, effects)
    return len(effects)


async def delete_remaining(tx: ConversationTx, seqs: Sequence[int]) -> Effects:
    """Delete those of these messages that are not deleted yet."""
    rows = await tx.all(SQL.not_deleted, seqs)
    return deletion.deletion_events(tx, await deletion.delete_messages(tx, [row["seq"] for row in rows]), "delete")


async def remove_reactions(erasing: Erasing) -> None:
    while rows := await erasing.node.db.all(SQL.reactions, *erasing.key, erasing.batch_size):
        for conversation, found in grouped(rows):
            await remove_reactions_in(erasing, conversation, found)
        await erasing.hold()


async def remove_reactions_in(erasing: Erasing, conversation: str, rows: Sequence[Row]) -> None:
    ctx = erasing.ctx
    effects = await change_conversation(
        ctx, conversation, take_back_all, rows, allow_non_member=True, allow_blocked=True
    )
    await deliver(ctx, effects)


async def take_back_all(tx: ConversationTx, rows: Sequence[Row]) -> Effects:
    return [update for row in rows for update in await take_back(tx, row["seq"], row["emoji"])]


async def strip(tx: ConversationTx) -> Member:
    """Remove the settings of a member. Returns the member as the others see them."""
    await tx.run(SQL.clear_own_settings, tx.user, tx.next_rev())
    return await member_in(tx, tx.user)


async def take_back(tx: ConversationTx, seq: int, emoji: str) -> Effects:
    """Remove one reaction, unless it is removed already."""
    if await tx.one(SQL.has_reaction, seq, tx.user, emoji) is None:
        return []
    await tx.run(REACTIONS.remove, seq, tx.user, emoji, tx.next_rev())
    updates = [update_event(tx, one, "reaction", emoji=emoji, on=False) for one in await deletion.states(tx, [seq])]
    return [ToConversation(tx.conversation, update) for update in updates]


def grouped(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Group the rows by conversation."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["conversation"], []).append(row)
    return list(found.items())
