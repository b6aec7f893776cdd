"""The commands of the client: all of them by name, and the common ones as methods."""

from typing import Any

import msgspec
import trio

from chatd.client.link import Disconnected, Link
from chatd.client.messenger import Messenger
from chatd.client.outbox import Outbox, Sending
from chatd.client.types import (
    ANSWERS,
    ConversationResult,
    Conversations,
    MessageAck,
    Messages,
    Ok,
    Pong,
)
from chatd.client.wire_base import by_tag, typed
from chatd.core.errors import Refused

KINDS = by_tag(ANSWERS)
RETRY_AFTER = 1.0
# A connection that has just ended may not be known as such yet.
SOON = 0.02


class Commands(Messenger):
    """The commands of the client.

    Each method returns the server's answer; see docs/protocol.md for its fields.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.link: Link | None = None
        self.outbox = outbox
        self._up = trio.Event()

    def link_up(self, link: Link) -> None:
        self.link = link
        self._up.set()

    def link_down(self) -> None:
        self.link = None
        if self._up.is_set():
            self._up = trio.Event()

    async def wait_connected(self) -> None:
        """Wait until commands can be sent."""
        while self.link is None:
            await self._up.wait()

    async def request(self, command: str, fields: dict[str, Any]) -> Any:
        await self.wait_connected()
        assert self.link is not None
        return typed(await self.link.call({"t": command, **fields}), KINDS)

    async def send_unanswered(self, command: str, fields: dict[str, Any]) -> None:
        await self.wait_connected()
        assert self.link is not None
        await self.link.notify({"t": command, **fields})

    async def ping(self, ts: int = 0) -> Pong:
        return await self.call("ping", ts=ts)

    async def open(self, user: str) -> ConversationResult:
        """Open the direct conversation with a user."""
        return await self.call("conversation.open", user=user)

    async def create(self, members: list[str], title: str | None = None) -> ConversationResult:
        """Create a group."""
        return await self.call("conversation.create", members=members, title=title)

    async def conversations(self, cursor: str | None = None, limit: int | None = None, **filters: Any) -> Conversations:
        """A page of the conversations, the most recently active first. `filters` and `order`: see conversation.list."""
        return await self.call("conversation.list", cursor=cursor, limit=limit, **filters)

    async def history(
        self, conversation: str, *, before: int | None = None, after: int | None = None, limit: int | None = None
    ) -> Messages:
        """A page of messages, in the order of `seq`."""
        return await self.call("message.history", conversation=conversation, before=before, after=after, limit=limit)

    async def delivered(self, conversation: str, seq: int) -> Ok:
        """Wait for the answer. Use `notify("receipt.delivered", ...)` to send the receipt only."""
        return await self.call("receipt.delivered", conversation=conversation, seq=seq)

    async def read(self, conversation: str, seq: int) -> Ok:
        """Wait for the answer. Use `notify("receipt.read", ...)` to send the receipt only."""
        return await self.call("receipt.read", conversation=conversation, seq=seq)

    async def typing(self, conversation: str, *, on: bool = True) -> None:
        """Show or stop showing that the user is typing. It is not answered; a refusal is an event CommandRefused."""
        if on:
            await self.notify("typing.start", conversation=conversation)
        else:
            await self.notify("typing.stop", conversation=conversation)

    async def logout(self, *, everywhere: bool = False) -> Ok:
        return await self.call("auth.logout", everywhere=everywhere)

    # --- sending, which outlives the connection -------------------------------------------------------------------

    async def send(self, conversation: str, text: str | None = None, **fields: Any) -> MessageAck:
        """Send a message and wait for its ack, over as many connections as it takes.

        Raises Refused if the server refuses the message permanently.
        """
        return await self.send_nowait(conversation, text, **fields).ack()

    def send_nowait(
        self, conversation: str, text: str | None = None, *, client_id: str | None = None, **fields: Any
    ) -> Sending:
        """Put a message into the outbox, which sends in order. Use `await .ack()` on the result to wait for the ack."""
        if text is not None:
            fields["text"] = text
        sending = Sending(conversation, fields, client_id)
        self.outbox.put(sending)
        return sending

    async def _send_outbox(self) -> None:
        while True:
            sending = await self.outbox.first()
            await self._settle(sending)
            self.outbox.done()

    async def _settle(self, sending: Sending) -> None:
        """Wait until the server has acknowledged the message, or has refused it permanently."""
        while True:
            try:
                sending.succeed(await self.call("message.send", **sending.fields))
                return
            except Disconnected:
                await trio.sleep(SOON)
            except (TypeError, ValueError, OverflowError, msgspec.EncodeError) as error:
                sending.fail(error)
                return
            except Refused as refused:
                if not refused.row.retryable:
                    sending.fail(refused)
                    return
                await trio.sleep(refused.retry_after or RETRY_AFTER)
