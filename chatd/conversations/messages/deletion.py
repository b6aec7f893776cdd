"""Deletion of messages: by users, after their time, and by retention.

A deleted message leaves a tombstone, never a gap: `seq` stays without gaps, and clients that were offline get it by its
`rev`. Its content is gone for every reader, and files that nothing else uses are released; reports can include it for a
while.

Any node may sweep, several at the same time: a message is deleted under the lock of its conversation. The clock is that
of the database, for sweeps as for reads: readers do not see a message after its time, whether it was swept or not.
"""

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Literal

from msgspec import Struct, convert

from chatd.accounts.settings import TenantSettings
from chatd.accounts.token_rules import DEFAULT_TENANT
from chatd.app.context import Node, system_context
from chatd.app.effects import Effects, ToConversation, deliver
from chatd.app.jobs import is_due
from chatd.conversations.effects import update_event
from chatd.conversations.entities import Message, Replies
from chatd.conversations.log.effects import thread_event
from chatd.conversations.log.entries import ThreadState
from chatd.conversations.log.transaction import SYSTEM_USER, ConversationTx, change_conversation
from chatd.conversations.read_model import message_of
from chatd.conversations.settings import RetentionSettings, TenantRetention
from chatd.core.config import Config
from chatd.core.ids import NIL
from chatd.db import queries

SQL = queries.load("conversations/deletion")
# Messages of one conversation in one transaction, and of all conversations in one round.
BATCH_SIZE, ROUND_SIZE = 200, 1000
# Conversations in one statement.
PAGE_SIZE = 1000
RETENTION_EVERY_MS = 3_600_000


class Deletion(Struct, frozen=True):
    """Tombstones, in the order of their revs, and after them the threads that have lost replies."""

    tombstones: Sequence[Message] = ()
    threads: Sequence[ThreadState] = ()


async def delete_messages(tx: ConversationTx, seqs: Sequence[int]) -> Deletion:
    """Replace messages by tombstones, each with a rev of its own.

    Their content is withheld for `moderation.keep_removed`; until then a report can include it.
    """
    if not seqs:
        return Deletion()
    revs = [tx.next_rev() for _ in seqs]
    rows = await tx.all(SQL.delete_messages, seqs, revs, tx.now, tx.now + tx.withheld_ms)
    tombstones = await states(tx, seqs)
    replies = [row["reply"] for row in rows if row["reply"] is not None]
    return Deletion(tombstones, await delete_replies(tx, replies) if replies else ())


async def delete_replies(tx: ConversationTx, seqs: Sequence[int]) -> list[ThreadState]:
    """Count deleted messages no longer as replies. Returns the new states of the roots, each with a rev of its own."""
    roots = Counter(row["root_seq"] for row in await tx.all(SQL.delete_replies, seqs))
    numbers = (list(roots), list(roots.values()), [tx.next_rev() for _ in roots])
    rows = await tx.all(SQL.recount_replies, *numbers) if roots else []
    return [
        ThreadState(
            row["id"],
            row["rev"],
            None if row["replies"] is None else convert(row["replies"], Replies),
            row["seq"] >= tx.max_first_seq,
        )
        for row in sorted(rows, key=itemgetter("rev"))
    ]


async def states(tx: ConversationTx, seqs: Sequence[int]) -> list[Message]:
    """Messages as all members see them, in the order of their last change."""
    return [message_of(row, tx.files_url) for row in await tx.all(SQL.message_states, seqs)]


def deletion_events(tx: ConversationTx, deleted: Deletion, why: Literal["delete", "expire"]) -> Effects:
    events = [
        *(update_event(tx, one, why) for one in deleted.tombstones),
        *(thread_event(tx.conversation, one) for one in deleted.threads),
    ]
    return [ToConversation(tx.conversation, one) for one in events]


async def delete_expired(node: Node) -> bool:
    """Delete messages whose time has passed. Returns whether there may be more."""
    rows = await node.db.all(SQL.expired_messages, ROUND_SIZE)
    for row in rows:
        for at in range(0, len(row["seqs"]), BATCH_SIZE):
            await delete_expired_in(node, row["tenant"], row["conversation"], row["seqs"][at : at + BATCH_SIZE])
    return sum(len(row["seqs"]) for row in rows) == ROUND_SIZE


async def delete_expired_in(node: Node, tenant: str, conversation: str, seqs: Sequence[int]) -> None:
    ctx = system_context(node, tenant, SYSTEM_USER)
    effects = await change_conversation(
        ctx, conversation, delete_still_expired, seqs, allow_non_member=True, allow_blocked=True
    )
    await deliver(ctx, effects)


async def delete_still_expired(tx: ConversationTx, seqs: Sequence[int]) -> Effects:
    rows = await tx.all(SQL.still_expired, seqs)
    return deletion_events(tx, await delete_messages(tx, [row["seq"] for row in rows]), "expire")


def days_of(config: Config) -> dict[str, int]:
    """The days for which each tenant keeps messages; 0: forever."""
    usual = config.get(RetentionSettings).days
    own = {
        name: tenant.retention_days
        for name, tenant in config.named(TenantRetention).items()
        if tenant.retention_days >= 0
    }
    return {DEFAULT_TENANT: usual, **dict.fromkeys(config.named(TenantSettings), usual), **own}


async def delete_aged(
    node: Node, *, every_ms: int = RETENTION_EVERY_MS, batch_size: int = BATCH_SIZE, page_size: int = PAGE_SIZE
) -> bool:
    """Delete messages that are older than they are kept, in all conversations. One node does it, once an hour."""
    if await is_due(node.db, "retention", every_ms):
        await delete_all_aged(node, batch_size, page_size)
    return False


async def delete_all_aged(node: Node, batch_size: int, page_size: int) -> None:
    days = days_of(node.config)
    position = (NIL, "")
    while True:
        rows = await node.db.all(SQL.page_with_retention, *position, list(days), list(days.values()), page_size)
        for row in rows:
            while row["due"] and await delete_aged_in(node, row["tenant"], row["id"], row["since"], batch_size):
                pass
        if len(rows) < page_size:
            return
        position = (rows[-1]["id"], rows[-1]["tenant"])


async def delete_aged_in(node: Node, tenant: str, conversation: str, since: int, batch_size: int) -> bool:
    """Delete a batch of the oldest messages of a conversation, from before `since`. Returns whether to continue."""
    ctx = system_context(node, tenant, SYSTEM_USER)
    swept = await change_conversation(
        ctx, conversation, delete_oldest, since, batch_size, allow_non_member=True, allow_blocked=True
    )
    await deliver(ctx, swept.effects)
    return swept.more


class Swept(Struct, frozen=True):
    """A batch of messages was deleted. `more`: there may be more of them."""

    effects: Effects
    more: bool


async def delete_oldest(tx: ConversationTx, since: int, batch_size: int) -> Swept:
    old = []
    for row in await tx.all(SQL.oldest_messages, batch_size):
        if row["created_at"] >= since:
            break
        old.append(row)
    if old:
        await tx.run(SQL.set_swept_seq, old[-1]["seq"])
    deleted = await delete_messages(tx, [row["seq"] for row in old if not row["is_deleted"]])
    return Swept(deletion_events(tx, deleted, "expire"), more=len(old) == batch_size)
