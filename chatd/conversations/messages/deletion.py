"""Messages that come to their end: deleted, past their time, or older than they may be kept.

What is left is a tombstone, never a hole: `seq` has no gaps for whoever reads, and who was away learns of it by its `rev`. All
that it held is gone for every reader, and files that nothing else uses are let go; reports can take it up for a while.

Any node may sweep, also several at once: a message is buried under the lock of its conversation, by whoever comes first. What
time it is the database says, as it does to those who read: they do not see a message after its time, swept or not.
"""

from collections.abc import Sequence
from typing import Literal

from chatd.accounts.settings import TenantSettings
from chatd.accounts.token_rules import DEFAULT_TENANT
from chatd.app.context import Node, on_behalf
from chatd.app.effects import Effects, ToConversation, deliver
from chatd.app.jobs import is_due
from chatd.conversations.entities import Message
from chatd.conversations.log.transaction import Change, change
from chatd.conversations.messages.access import NOBODY, told_update
from chatd.conversations.read_model import message_of
from chatd.conversations.settings import RetentionSettings, TenantRetention
from chatd.core.config import Config
from chatd.core.ids import NIL
from chatd.db import queries

SQL = queries.load("conversations/tombstones")
# Of one conversation in one transaction, and of all conversations in one round.
BATCH, ROUND = 200, 1000
# Conversations that are looked at in one statement.
PAGE = 1000
# Milliseconds from one look at all conversations to the next.
RETENTION_EVERY = 3_600_000


async def bury(here: Change, seqs: Sequence[int]) -> list[Message]:
    """Make tombstones of messages, each with a rev of its own; what they are then, in that order.

    What they said is withheld for `moderation.keep_removed`: until then only a report can take it up.
    """
    if not seqs:
        return []
    until = here.now + here.withheld_ms
    await here.run(SQL.bury, seqs, [here.next_rev() for _ in seqs], here.now, until)
    return await states(here, seqs)


async def states(here: Change, seqs: Sequence[int]) -> list[Message]:
    """Messages as everybody sees them, in the order of their last change."""
    return [message_of(row, here.files_url) for row in await here.all(SQL.states, seqs)]


def told(here: Change, messages: Sequence[Message], why: Literal["delete", "expire"]) -> Effects:
    """Of each message what it is now, or for those that not all may see that something has changed."""
    return [ToConversation(here.conversation, told_update(here, one, why)) for one in messages]


async def expire(node: Node) -> bool:
    """Bury messages whose time is over. Whether there may be more of them."""
    rows = await node.db.all(SQL.expired, ROUND)
    for row in rows:
        for at in range(0, len(row["seqs"]), BATCH):
            await expire_in(node, row["tenant"], row["conversation"], row["seqs"][at : at + BATCH])
    return sum(len(row["seqs"]) for row in rows) == ROUND


async def expire_in(node: Node, tenant: str, conversation: str, seqs: Sequence[int]) -> None:
    async def work(here: Change) -> Effects:
        return told(here, await bury(here, [row["seq"] for row in await here.all(SQL.still_expired, seqs)]), "expire")

    ctx = on_behalf(node, tenant, NOBODY)
    await deliver(ctx, await change(ctx, conversation, work, stranger=True, blocked=True))


def days_of(config: Config) -> dict[str, int]:
    """For how many days each tenant keeps messages; 0: for ever."""
    usual = config.get(RetentionSettings).days
    own = {name: tenant.retention_days for name, tenant in config.named(TenantRetention).items() if tenant.retention_days >= 0}
    return {DEFAULT_TENANT: usual, **dict.fromkeys(config.named(TenantSettings), usual), **own}


async def retain(node: Node) -> bool:
    """Bury what is older than it may be kept, in all conversations; one node does it, once an hour."""
    if await is_due(node.db, "retention", RETENTION_EVERY):
        await retain_all(node)
    return False


async def retain_all(node: Node) -> None:
    days = days_of(node.config)
    position = (NIL, "")
    while True:
        rows = await node.db.all(SQL.aged, *position, list(days), list(days.values()), PAGE)
        for row in rows:
            while row["due"] and await retain_in(node, row["tenant"], row["id"], row["since"]):
                pass
        if len(rows) < PAGE:
            return
        position = (rows[-1]["id"], rows[-1]["tenant"])


async def retain_in(node: Node, tenant: str, conversation: str, since: int) -> bool:
    """Bury a batch of the oldest messages of a conversation that are from before `since`. Whether there may be more."""

    async def work(here: Change) -> tuple[Effects, bool]:
        old = []
        for row in await here.all(SQL.oldest, BATCH):
            if row["created_at"] >= since:
                break
            old.append(row)
        if old:
            await here.run(SQL.swept, old[-1]["seq"])
        buried = await bury(here, [row["seq"] for row in old if not row["gone"]])
        return told(here, buried, "expire"), len(old) == BATCH

    ctx = on_behalf(node, tenant, NOBODY)
    effects, more = await change(ctx, conversation, work, stranger=True, blocked=True)
    await deliver(ctx, effects)
    return more
