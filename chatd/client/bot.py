"""A bot in a few lines: handlers of commands, messages and pressed buttons, over the client.

Handlers run one after another, in the order of the events. The bot may get a message again: after a restart, from its
stored position on, or if the server stops before it knows that the message was taken. So a handler runs at least once;
within a process it runs once for each message, and the text that it returns is sent once in any case, because its
`client_id` is made of the id of the message.
"""

import inspect
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from msgspec import Struct
from trio_websocket import connect_websocket_url

from chatd.client.client import Client, Dial, connect
from chatd.client.types import Action, Message, MessageAck, MessageNew
from chatd.core.errors import Refused

LOG = logging.getLogger(__name__)
Handler = Callable[..., Awaitable[str | None]]
TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
MAX_REMEMBERED = 10_000


class Invocation(Struct, frozen=True):
    """A message for the bot. `args` of a command are passed to its handler as well."""

    client: Client
    conversation: str
    message: Message
    args: dict[str, Any] = {}

    @property
    def sender(self) -> str:
        return self.message.sender

    @property
    def text(self) -> str:
        return self.message.text or ""

    async def reply(self, text: str, **fields: Any) -> MessageAck:
        """Send a message that replies to this one. The first reply is sent once, even if the handler runs again."""
        fields = {"reply_to": self.message.id, "client_id": f"re-{self.message.id}", **fields}
        return await self.client.send(self.conversation, text, **fields)


class Press(Struct, frozen=True):
    """A button that `user` has pressed. `value`: its `data` after the first colon."""

    client: Client
    conversation: str
    message: str
    user: str
    data: str

    @property
    def value(self) -> str:
        return self.data.partition(":")[2]


class Bot:
    """The handlers of a bot. `run` connects it with its token, and stays connected.

    `position`: a file that keeps what the bot has handled, so that it misses nothing while it does not run.
    """

    def __init__(
        self, url: str, token: str, *, position: str | PathLike[str] | None = None, dial: Dial = connect_websocket_url
    ) -> None:
        self._url = url
        self._token = token
        self._position = None if position is None else Path(position)
        self._dial = dial
        self._commands: dict[str, tuple[dict[str, Any], Handler]] = {}
        self._actions: dict[str, Handler] = {}
        self._on_message: list[Handler] = []
        self._handled: OrderedDict[str, None] = OrderedDict()

    # --- decorators -----------------------------------------------------------------------------------------------

    def command(
        self, name: str, description: str = "", *, scope: Literal["all", "groups", "direct"] = "all"
    ) -> Callable[[Handler], Handler]:
        """Declare a command. Its arguments are those of the function after the first one, by their type hints: str,
        int, float, bool, or a Literal of texts. One with a default is optional. The description is by default the first
        line of the docstring. The text that the function returns is sent as a reply.
        """

        def mark(handler: Handler) -> Handler:
            about = description or (inspect.getdoc(handler) or name).partition("\n")[0]
            declared = {"name": name, "description": {"en": about}, "args": arguments_of(handler), "scope": scope}
            self._commands[name] = (declared, handler)
            return handler

        return mark

    def message(self, handler: Handler) -> Handler:
        """Call the function with each message that the bot gets and that is not a command for it."""
        self._on_message.append(handler)
        return handler

    def action(self, name: str) -> Callable[[Handler], Handler]:
        """Call the function with each `Press` of a button whose `data` is the name, or begins with it and a colon. The
        text that it returns is shown to the user who has pressed.
        """

        def mark(handler: Handler) -> Handler:
            self._actions[name] = handler
            return handler

        return mark

    # --- running --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, declare the commands, and handle what comes, forever. Raises Refused or Ended if the server rejects
        the token.
        """
        known = self._read_position()
        async with connect(self._url, self._token, position=known, dial=self._dial) as client:
            await client.call("bot.commands.set", commands=[declared for declared, _ in self._commands.values()])
            async for event in client.events:
                if isinstance(event, MessageNew):
                    await self._handle(client, event.conversation, event.message)
                elif isinstance(event, Action):
                    await self._take(client, event)
                self._write_position(client)

    async def _handle(self, client: Client, conversation: str, message: Message) -> None:
        if message.concealed or message.system or message.sender == client.user or not self._is_new(message.id):
            return
        call = message.command
        if call is not None and call.bot == client.user:
            known = self._commands.get(call.name)
            handlers, args = [] if known is None else [known[1]], dict(call.args)
        else:
            handlers, args = self._on_message, {}
        for handler in handlers:
            await self._run(handler, Invocation(client, conversation, message, args))

    async def _run(self, handler: Handler, invocation: Invocation) -> None:
        with logged():
            answer = await handler(invocation, **invocation.args)
            if answer:
                await invocation.reply(answer)

    async def _take(self, client: Client, event: Action) -> None:
        """Run the handler of a pressed button, and tell the server that the bot has it, in any case."""
        handler = self._actions.get(event.data.partition(":")[0])
        answer = None
        if handler is not None and self._is_new(event.id):
            with logged():
                answer = await handler(Press(client, event.conversation, event.message, event.user, event.data))
        with logged():
            if answer:
                await client.call("bot.notify", action=event.id, text=answer)
            else:
                await client.call("bot.ack", actions=[event.id])

    def _is_new(self, key: str) -> bool:
        """Whether this process has not handled the message or the action."""
        if key in self._handled:
            return False
        self._handled[key] = None
        if len(self._handled) > MAX_REMEMBERED:
            self._handled.popitem(last=False)
        return True

    def _read_position(self) -> dict[str, Any] | None:
        if self._position is None or not self._position.exists():
            return None
        return dict(json.loads(self._position.read_text()))

    def _write_position(self, client: Client) -> None:
        """Store the position in one step: a bot that is stopped meanwhile has the one before."""
        if self._position is not None:
            new = self._position.with_name(f"{self._position.name}.new")
            new.write_text(json.dumps(client.position))
            new.replace(self._position)


@contextmanager
def logged() -> Iterator[None]:
    """Log what a handler raises: the bot goes on."""
    try:
        yield
    except Refused as refused:
        LOG.warning("the server refused what a handler did: %s", refused.message)
    except Exception:
        LOG.exception("a handler failed")


def arguments_of(handler: Handler) -> list[dict[str, Any]]:
    """The declaration of the arguments of a handler. Raises TypeError for a type that no argument can have."""
    _, *parameters = inspect.signature(handler, eval_str=True).parameters.values()
    return [argument_of(one) for one in parameters]


def argument_of(parameter: inspect.Parameter) -> dict[str, Any]:
    hint = parameter.annotation
    choices = [str(value) for value in get_args(hint)] if get_origin(hint) is Literal else []
    kind = "choice" if choices else TYPES.get(str if hint is inspect.Parameter.empty else hint)
    if kind is None:
        raise TypeError(f"{parameter.name}: expected str, int, float, bool or a Literal of texts")
    required = parameter.default is inspect.Parameter.empty
    return {"name": parameter.name, "type": kind, "required": required, "choices": choices, "description": {}}
