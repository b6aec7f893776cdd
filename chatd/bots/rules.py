"""What a bot may do: the commands that it may use, and at which pace. What is not listed is refused."""

import trio

from chatd.app.context import Ctx
from chatd.app.rate_limits import Buckets, check
from chatd.app.registry import Row
from chatd.bots.settings import BotSettings
from chatd.core.errors import Refused
from chatd.wire.base import Command

# Each of them shows a bot only what concerns it; `tests/bots/test_privacy.py` tries them all.
READING = frozenset(
    {
        *("session.sync", "conversation.sync", "conversation.get", "conversation.list", "conversation.open"),
        *("message.history", "thread.history", "message.pins", "reaction.list", "message.receipts", "poll.voters"),
        *("member.list", "me.get", "user.get", "user.query", "upload.info", "upload.sign"),
        *("bot.commands.get", "bot.actions"),
    }
)
WRITING = frozenset(
    {
        *("message.send", "message.edit", "message.delete", "message.pin", "message.unpin"),
        *("reaction.add", "reaction.remove", "poll.create", "poll.close"),
        *("receipt.delivered", "receipt.read", "typing.start", "typing.stop"),
        *("conversation.leave", "conversation.edit", "member.remove"),
        *("user.update", "upload.delete", "auth.refresh", "ping"),
        *("bot.commands.set", "bot.notify", "bot.ack"),
    }
)
ALLOWED = READING | WRITING
# What other members see at once. Its pace is limited, so that two bots that answer each other slow down.
PACED = frozenset(
    {"message.send", "message.edit", "reaction.add", "reaction.remove", "poll.create", "typing.start", "message.pin"}
)
MAX_BOTS, MAX_CONVERSATIONS = 10_000, 100_000


class BotRules:
    """The rules of this node, and the paces of bots. `refused`: commands beyond a pace."""

    def __init__(self, settings: BotSettings) -> None:
        self.refused = 0
        per_second, per_minute = settings.messages_per_second, settings.messages_per_minute
        self._bots = Buckets[tuple[str, str]](per_second, per_second, MAX_BOTS)
        self._places = Buckets[tuple[str, str, str]](per_minute / 60, per_minute, MAX_CONVERSATIONS)

    def check(self, ctx: Ctx, row: Row, command: Command) -> None:
        """Check a command of a bot. Raises Refused: `forbidden`, `rate_limited`."""
        if row.tag not in ALLOWED:
            raise Refused("forbidden", "bots cannot use this command")
        if row.tag not in PACED:
            return
        now, conversation = trio.current_time(), getattr(command, "conversation", "")
        try:
            check(self._bots.of((ctx.tenant, ctx.user)), 1, now)
            check(self._places.of((ctx.tenant, ctx.user, conversation)), 1, now)
        except Refused:
            self.refused += 1
            raise
