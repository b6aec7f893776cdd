"""Effects that go through the log of messages, which numbers them and publishes them in the order of `rev`."""

from collections.abc import Callable
from functools import partial

import trio

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, SettledEffect, ToConversation, deliver
from chatd.conversations.events import MessageNew, ThreadUpdate
from chatd.conversations.log.entries import Advanced, Appended, NewMessage, Receipt, ThreadState
from chatd.conversations.log.writer import MessageLog
from chatd.conversations.signals import MessageSent
from chatd.core.settlement import Settled
from chatd.wire.base import Result
from chatd.wire.connection_events import Behind


class Append(SettledEffect, frozen=True):
    """Commit a message, send `event` of it to the other sessions of the members, and answer the sender with `ack`.

    Both are pure functions that the log calls after the commit. A duplicate is acknowledged and not sent again. Raises
    Refused: `not_found`, `conflict`, `blocked`, `forbidden`, `rate_limited`, or `unavailable` at the deadline.
    """

    message: NewMessage
    event: Callable[[Appended], MessageNew]
    ack: Callable[[Appended], Result] | None = None

    def begin(self, ctx: Ctx, settled: Settled) -> None:
        ctx.node.get(MessageLog).append(self.message, partial(self.publish, ctx), ctx.began, settled)

    async def publish(self, ctx: Ctx, done: Appended) -> None:
        """Publish in the order of the log, at the position of the message."""
        ack = self.ack(done) if self.ack is not None else None
        if not done.duplicate:
            ctx.node.hub.traces.accepted((done.id, ctx.session, ctx.now, done.committed_at, done.batch, done.rev))
            await ToConversation(self.message.conversation, self.event(done), ctx.origin, ack=ack).deliver(ctx)
            ctx.node.get(MessageLog).note_sent(self.message.text, trio.current_time() - ctx.began)
            if done.thread is not None:
                await ToConversation(
                    self.message.conversation, thread_event(self.message.conversation, done.thread)
                ).deliver(ctx)
            if self.message.extra is not None:
                ctx.node.get(KindCounts).add(self.message)
            if ctx.node.signals.has_subscribers(MessageSent):
                ctx.node.signals.send_sync(MessageSent(self.message, done))
        elif ack is not None:
            await Reply(ack).deliver(ctx)


class KindCounts:
    """The replies in threads and the polls among the messages of this node. Found in `Node.services`."""

    def __init__(self) -> None:
        self.replies = self.polls = 0

    def add(self, message: NewMessage) -> None:
        self.replies += message.is_reply
        self.polls += message.is_poll


def thread_event(conversation: str, thread: ThreadState) -> ThreadUpdate | Behind:
    """The new state of the root of a thread. If some members may not see it, all of them get `behind`."""
    if not thread.is_visible:
        return Behind(conversation=conversation, rev=thread.rev)
    return ThreadUpdate(conversation=conversation, rev=thread.rev, thread=thread.root, replies=thread.replies)


class Advance(SettledEffect, frozen=True):
    """Move the positions of a member forward, and carry out `effects` of it.

    Raises Refused: `not_found`, `unavailable`.
    """

    receipt: Receipt
    effects: Callable[[Advanced], Effects]

    def begin(self, ctx: Ctx, settled: Settled) -> None:
        ctx.node.get(MessageLog).append(self.receipt, partial(self.publish, ctx), ctx.began, settled)

    async def publish(self, ctx: Ctx, done: Advanced) -> None:
        """Publish in the order of the log, at the position of the receipt."""
        if done.rev is not None or done.unread is not None:
            conversation, now = self.receipt.conversation, ctx.node.clock()
            ctx.node.hub.traces.receipts((conversation, self.receipt.user, done.delivered_seq, done.read_seq, now))
        await deliver(ctx, self.effects(done))
