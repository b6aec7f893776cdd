"""What the journal commits: messages and receipts, each waiting with whoever sent it."""

from collections.abc import Awaitable, Callable
from typing import Any

import outcome
import trio
from msgspec import Struct


class Append(Struct, frozen=True):
    """A message that wants a number. `id` is made by the sender's node; `attachments`, `meta` and `extra` are JSON texts.

    `extra`: `mentions` (a list of users), `everybody` (true, or absent), `forwarded`.
    """

    tenant: str
    conversation: str
    sender: str
    client_id: str
    id: str
    text: str | None
    attachments: str | None
    reply_to: str | None
    meta: str | None
    extra: str | None = None


class Receipt(Struct, frozen=True):
    """Positions that a member has reached; 0 for a position that is not meant.

    In a conversation of more than `shared_up_to` members nobody else is told.
    """

    tenant: str
    conversation: str
    user: str
    delivered: int
    read: int
    shared_up_to: int


class Appended(Struct, frozen=True):
    """What became of a message. `duplicate`: it had been there already, and this is the first result again.

    `committed_at` is when the commit was known here, of a batch of so many messages. `alias`: the sender's, in a match.
    """

    id: str
    seq: int
    rev: int
    created_at: int
    duplicate: bool
    committed_at: int
    batch: int
    expires_at: int | None = None
    alias: str | None = None


class Advanced(Struct, frozen=True):
    """What became of a receipt. `rev` is None when there is nothing to tell to others.

    `unread` and `mentions` are None when `read` did not move. `doubtful`: this was another attempt, and what moved in one
    before it may not have been told to the member's own devices. `alias`: the member's, in a match.
    """

    delivered_seq: int
    read_seq: int
    rev: int | None
    seq: int
    unread: int | None
    mentions: int | None
    alias: str | None = None
    doubtful: bool = False


Item = Append | Receipt
Committed = Appended | Advanced
# Tenant and conversation.
Key = tuple[str, str]
Tell = Callable[[Any], Awaitable[None]]


class Entry(Struct, eq=False):
    """One item on its way. `deadline` in trio's time. `decided`: it is committed or refused, and no deadline counts any more."""

    item: Item
    tell: Tell
    deadline: float
    decided: bool = False
    result: outcome.Outcome[Any] | None = None
    waiters: list[trio.lowlevel.Task] = []

    async def wait(self) -> Any:
        """Until it is committed and told, or refused. Giving up does not take the entry back."""
        task = trio.lowlevel.current_task()
        self.waiters.append(task)

        def give_up(_: object) -> trio.lowlevel.Abort:
            self.waiters.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(give_up)

    @property
    def key(self) -> Key:
        return (self.item.tenant, self.item.conversation)

    def settle(self, result: outcome.Outcome[Any]) -> None:
        self.result = result
        for task in self.waiters:
            trio.lowlevel.reschedule(task, result)
        self.waiters = []
