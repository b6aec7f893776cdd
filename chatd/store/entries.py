"""What the journal commits: messages and receipts, each waiting with whoever sent it."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import outcome
import trio
from msgspec import Struct

from chatd.errors import Refused


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

    member: ClassVar[tuple[str, str, str] | None] = None


class Receipt(Struct, frozen=True):
    """Positions that a member has reached; 0 for a position that is not meant."""

    tenant: str
    conversation: str
    user: str
    delivered: int
    read: int

    @property
    def member(self) -> tuple[str, str, str]:
        """Whose position it is."""
        return self.tenant, self.conversation, self.user


class Appended(Struct, frozen=True):
    """What became of a message. `duplicate`: it had been there already, and this is the first result again.

    `committed_at` is when the commit was known here, of a batch of so many messages.
    """

    id: str
    seq: int
    rev: int
    created_at: int
    duplicate: bool
    committed_at: int
    batch: int
    expires_at: int | None = None


class Advanced(Struct, frozen=True):
    """What became of a receipt. `rev` is None when nothing moved; `unread` and `mentions` are None when `read` did not."""

    delivered_seq: int
    read_seq: int
    rev: int | None
    seq: int
    unread: int | None
    mentions: int | None


Item = Append | Receipt
Committed = Appended | Advanced
Tell = Callable[[Any], Awaitable[None]]


class Entry(Struct, eq=False):
    """One item on its way. `deadline` in trio's time."""

    item: Item
    tell: Tell
    deadline: float
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

    def settle(self, result: outcome.Outcome[Any]) -> None:
        self.result = result
        for task in self.waiters:
            trio.lowlevel.reschedule(task, result)
        self.waiters = []

    def refuse(self, code: str, message: str = "") -> None:
        self.settle(outcome.Error(Refused(code, message)))
