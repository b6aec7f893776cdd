"""Commands in texts of messages, such as `/weather Porto`. The subsystem `bots` declares how they are recognized."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from chatd.app.context import Ctx, Node
from chatd.conversations.entities import Json

# Of the conversation and the text: the `command` of the message, or None. Raises Refused.
Resolve = Callable[[Ctx, str, str], Awaitable[Json | None]]


class TextCommands(Struct, frozen=True):
    """How commands are recognized. Found in `Node.services`; without it, no message is a command."""

    resolve: Resolve


def may_be_command(node: Node, text: str) -> bool:
    """Whether something has to be read to know if the text is a command."""
    return text.startswith("/") and node.services.find(TextCommands) is not None
