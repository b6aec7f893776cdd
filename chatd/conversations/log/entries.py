"""What the log commits: messages and receipts, each with the function to call at its end."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from chatd.conversations.entities import Replies
from chatd.core.settlement import Settled


class NewMessage(Struct, frozen=True):
    """A message without a number. `id` is made by the node of the sender; `attachments`, `meta` and `extra` are JSON
    texts.

    `extra`: `mentions` (a list of users), `everybody` (true, or absent), `forwarded`, `thread` (the root), `poll`,
    `command`, `actions` (rows of buttons).
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

    @property
    def is_reply(self) -> bool:
        """Whether it is a reply in a thread."""
        return self.extra is not None and '"thread":' in self.extra

    @property
    def is_poll(self) -> bool:
        return self.extra is not None and '"poll":' in self.extra


class ThreadState(Struct, frozen=True):
    """The new state of the root of a thread. `is_visible`: all members may see the root."""

    root: str
    rev: int
    replies: Replies | None
    is_visible: bool


class Receipt(Struct, frozen=True):
    """The positions that a member has reached; 0: no change.

    In a conversation of more than `shared_up_to` members they are not sent to the others.
    """

    tenant: str
    conversation: str
    user: str
    delivered: int
    read: int
    shared_up_to: int


class Appended(Struct, frozen=True):
    """A committed message. `duplicate`: it had been committed before, and this is the first result again.

    `committed_at` is when this node learned of the commit, `batch` the messages in it. `alias`: the sender's in a
    match. `thread`: the thread whose last reply of the batch it is.
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
    thread: ThreadState | None = None


class Advanced(Struct, frozen=True):
    """A committed receipt. `rev` is None if there is nothing to send to the others.

    `unread` and `mentions` are None if `read` did not move. `uncertain`: this is a second attempt, and what the first
    one moved may not have been sent to the other devices of the member. `alias`: the member's, in a match.
    """

    delivered_seq: int
    read_seq: int
    rev: int | None
    seq: int
    unread: int | None
    mentions: int | None
    alias: str | None = None
    uncertain: bool = False


Item = NewMessage | Receipt
Outcome = Appended | Advanced
# Tenant and conversation.
Key = tuple[str, str]
Publish = Callable[[Any], Awaitable[None]]


class Entry(Struct, eq=False):
    """One item, and the function to call when it is published or refused. `deadline` in trio's time.

    `decided`: it is committed or refused, and the deadline no longer applies.
    """

    item: Item
    publish: Publish
    deadline: float
    settled: Settled
    decided: bool = False
    is_settled: bool = False

    @property
    def key(self) -> Key:
        return (self.item.tenant, self.item.conversation)

    def settle(self, result: Any, error: Exception | None) -> None:
        self.is_settled = True
        self.settled(result, error)
