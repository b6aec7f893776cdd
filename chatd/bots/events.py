"""The event about a command, to the sessions of the bot. Its webhook gets it by the outbox."""

from typing import Any, ClassVar

import trio
from msgspec import Struct, json

from chatd.app.context import Node, system_context
from chatd.app.effects import ToUser, deliver
from chatd.conversations.signals import MessageSent
from chatd.core import log
from chatd.core.errors import Refused
from chatd.wire.base import Event, Id, Millis, Seq
from chatd.wire.reference.examples import MESSAGE, Example

LOG = log.get(__name__)
MAX_WAITING = 10_000


class BotCommand(Event, tag="bot.command"):
    """A user has sent a command for this bot. `text`: the whole message; `args`: the arguments by name, of the declared
    types.

    The message itself comes as `message.new`, with the same in its `command`. A bot that was not connected finds it
    there, by `conversation.sync`: handle each `message` once.
    """

    conversation: Id
    message: Id
    seq: Seq
    sender: Id
    name: str
    args: dict[str, Any]
    text: str
    created_at: Millis
    EXAMPLE: ClassVar = Example(
        message=MESSAGE, name="weather", args={"city": "Porto"}, text="/weather Porto", created_at=1_770_000_000_000
    )


class Waiting(Struct, frozen=True):
    """A command to send."""

    tenant: str
    bot: str
    event: BotCommand


class CommandEvents:
    """Sends the events of this node. `sent`; `dropped`: those that did not fit, which the bot finds by a sync."""

    def __init__(self, node: Node) -> None:
        self.sent = self.dropped = 0
        self._node = node
        self._send, self._receive = trio.open_memory_channel[Waiting](MAX_WAITING)

    def note(self, signal: MessageSent) -> None:
        """A message is committed."""
        new = signal.message
        if new.extra is None or '"command":' not in new.extra:
            return
        call = json.decode(new.extra).get("command")
        if call is None:
            return
        done = signal.done
        event = BotCommand(
            conversation=new.conversation,
            message=done.id,
            seq=done.seq,
            sender=new.sender,
            name=call["name"],
            args=call["args"],
            text=new.text or "",
            created_at=done.created_at,
        )
        try:
            self._send.send_nowait(Waiting(new.tenant, call["bot"], event))
        except trio.WouldBlock:
            self.dropped += 1

    async def run(self) -> None:
        """Run forever."""
        async for waiting in self._receive:
            ctx = system_context(self._node, waiting.tenant, waiting.bot)
            try:
                await deliver(ctx, [ToUser(waiting.bot, waiting.event)])
            except Refused:
                self.dropped += 1
            else:
                self.sent += 1
