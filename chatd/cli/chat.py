"""chatd chat: a simple terminal client."""

import json
import secrets
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Annotated
from urllib.parse import urlsplit

import trio
import typer
from rich.text import Text

from chatd.cli.chat_lines import line_of, message_line
from chatd.cli.common import exit_failed, exit_usage
from chatd.cli.identities import StateLost, load_state, save_state
from chatd.cli.line_editor import LineEditor, editing
from chatd.cli.printing import out, printable, styled
from chatd.client import Account, Client, Disconnected, Ended, Refused, connect, sign_up
from chatd.client.link import alone
from chatd.client.own_events import ClientState
from chatd.client.types import (
    Conversation,
    ConversationGone,
    ConversationUpdate,
    Member,
    MemberUpdate,
    Message,
    MessageNew,
)
from chatd.core import setting_rules
from chatd.core.ids import is_uuid

# Time without a connection after which the user is informed.
WARN_AFTER_S = 3.0
HELP = """\
/to ID, NAME or TITLE: open a conversation   /list: list conversations
/group TITLE NAME ...: create a group; the title is one word
/history: show the last messages   /react EMOJI: react to the last message
/edit TEXT, /delete: change or delete your last message   /me: show your user id   /quit"""


def chat(
    name: Annotated[str, typer.Option("--as", help="Your name: each name is a separate user on this machine.")] = "me",
    to: Annotated[str | None, typer.Option(help="Recipient: a user id, or a name used on this machine.")] = None,
    http: Annotated[str, typer.Option(help="Base URL of the HTTP port.")] = "http://127.0.0.1:8081",
    url: Annotated[str | None, typer.Option(help="WebSocket URL. Default: the URL that the HTTP port reports.")] = None,
) -> None:
    """Chat in the terminal, with other users of this server.

    [bold]Examples[/]

      chatd chat --as alice

      chatd chat --as bob --to alice
    """
    if not (is_address(http, "http") and (url is None or is_address(url, "ws"))):
        raise exit_usage(
            "--http expects a URL such as http://127.0.0.1:8081, --url one such as ws://127.0.0.1:8080/v1/ws"
        )
    try:
        ended_by = trio.run(Terminal(name, to, http.rstrip("/"), url).run)
    except KeyboardInterrupt:
        return
    except (Refused, Ended, StateLost) as error:
        raise exit_failed(str(error)) from None
    except OSError as error:
        raise exit_failed(f"{http} does not answer ({error}). Is `chatd serve` running?") from None
    if ended_by is not None:
        # The terminal is restored, and the default action is in place again.
        signal.raise_signal(ended_by)


class Terminal:
    """The user of a terminal, or of a pipe."""

    def __init__(self, name: str, to: str | None, http: str, url: str | None) -> None:
        self._name = name
        self._to = to
        self._http = http
        self._url = url
        self._user = ""
        self._current: str | None = None
        self._names: dict[str, str] = {}
        self._titles: dict[str, str] = {}
        # The last message, and the last one that the user sent.
        self._last: str | None = None
        self._own: str | None = None
        self._editor: LineEditor | None = None
        self._connected = trio.Event()

    async def run(self) -> int | None:
        """Run until the end of the input, or until a signal ends the program. Returns the number of the signal."""
        account = await self._sign_in()
        self._user = account.user
        self._say(f"You are {self._name}, {account.user}")
        url = self._url or socket_url(self._http)
        async with self._connection_warning(url), connect(url, account) as client:
            self._connected.set()
            if self._to:
                await self._open_conversation(client, self._to)
            else:
                self._say(
                    f"In another terminal: chatd chat --as bob --to {self._name} "
                    f"(on another machine: --to {client.user})"
                )
                self._say(HELP)
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals, editing() as self._editor:
                return await self._talk(client, signals)

    async def _talk(self, client: Client, signals: AsyncIterator[int]) -> int | None:
        ended_by: int | None = None

        async def end() -> None:
            nonlocal ended_by
            ended_by = await anext(signals)
            nursery.cancel_scope.cancel()

        # Ctrl-C raises KeyboardInterrupt in one of these tasks.
        with alone():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._show_events, client)
                nursery.start_soon(end)
                if self._editor:
                    await nursery.start(self._editor.stop_and_continue)
                await self._read_lines(client)
                nursery.cancel_scope.cancel()
        return ended_by

    @asynccontextmanager
    async def _connection_warning(self, url: str) -> AsyncIterator[None]:
        """Print a line if no connection opens for some time. The client retries by itself."""
        with alone():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._warn_unless_connected, url)
                yield
                nursery.cancel_scope.cancel()

    async def _warn_unless_connected(self, url: str) -> None:
        with trio.move_on_after(WARN_AFTER_S):
            await self._connected.wait()
            return
        self._say(f"  {url} does not accept the connection yet; retrying ... Press Ctrl-C to quit")

    async def _sign_in(self) -> Account:
        """Sign up with the stored device id, so that the same name is the same user the next time."""
        state = load_state(self._name)
        device = state.get("device") or secrets.token_urlsafe(24)
        account = await sign_up(self._http, name=self._name, device=device)
        save_state(self._name, {"device": device, "user": account.user})
        return account

    async def _open_conversation(self, client: Client, whom: str) -> None:
        try:
            groups = await groups_called(client, whom)
            if len(groups) > 1:
                self._say(
                    f"several groups are named {whom}; choose one by id: {', '.join(group.id for group in groups)}"
                )
            elif groups and load_state(whom):
                self._say(
                    f"{whom} is both a user and a group; choose the user by id, or the group by id: {groups[0].id}"
                )
            else:
                self._enter(groups[0] if groups else (await client.open(user_of(whom))).conversation)
        except Refused as refused:
            self._say(f"  {refused.message}")
        except Disconnected:
            self._say("the connection was lost; try again: /to " + whom)

    async def _begin_group(self, client: Client, title: str, *names: str) -> None:
        self._enter((await client.create([user_of(name) for name in names], title)).conversation)

    def _enter(self, conversation: Conversation) -> None:
        self._current, self._last, self._own = conversation.id, None, None
        self._title(conversation)
        members = conversation.members or []
        for member in members:
            self._note_name(member)
        self._say(f"Chat with {', '.join(self._names[member.user] for member in members)}. Type a message.")

    def _title(self, conversation: Conversation) -> str:
        """The name of a conversation: its title, or the names of the other members. It is kept for later lines."""
        members = conversation.members or []
        for member in members:
            self._note_name(member)
        own = (self._user, conversation.alias)
        others = ", ".join(self._names[member.user] for member in members if member.user not in own)
        title = printable(conversation.title or others) or conversation.id[:8]
        self._titles[conversation.id] = title
        return title

    def _place(self, conversation: str) -> str:
        """The prefix of a line: the name of its conversation, if there are several."""
        if self._current:
            self._titles.setdefault(self._current, self._current[:8])
        title = self._titles.setdefault(conversation, conversation[:8])
        return f"[{title}] " if len(self._titles) > 1 else ""

    def _note_name(self, member: Member) -> None:
        self._names[member.user] = printable(member.name or member.user[:8])

    async def _read_lines(self, client: Client) -> None:
        async for line in self._editor.lines() if self._editor else lines():
            try:
                if not await self._read(client, line.strip()):
                    return
            except Refused as refused:
                self._say(f"  {refused.message}")
            except Disconnected:
                self._say("  the connection was lost; try again")

    async def _read(self, client: Client, line: str) -> bool:
        """Process a line. Returns False to stop."""
        if line.startswith("/"):
            return await self._run_command(client, *line.split(maxsplit=1))
        if line and self._current is None:
            self._say("No conversation is open yet. " + HELP)
        elif line and self._current:
            ack = await client.send(self._current, line)
            self._last = self._own = ack.message
            self._say(f"  sent as message {ack.seq}")
        return True

    async def _run_command(self, client: Client, command: str, argument: str = "") -> bool:
        """Run a command of the user. Returns False to stop."""
        if command == "/to" and argument:
            await self._open_conversation(client, argument.strip())
        elif command == "/list":
            for item in (await client.conversations()).items:
                self._say(f"  {item.id}  {self._title(item)}  {item.unread} unread{self._preview(item)}")
        elif command == "/history" and self._current:
            for message in (await client.history(self._current, limit=20)).items:
                self._show_message(message, self._current)
        elif command == "/group" and argument:
            await self._begin_group(client, *argument.split())
        elif command == "/react" and argument and self._current and self._last:
            await client.react(self._current, self._last, argument.strip())
        elif command == "/edit" and argument and self._current and self._own:
            await client.edit(self._current, self._own, argument)
        elif command == "/delete" and self._current and self._own:
            await client.delete(self._current, self._own)
        elif command == "/me":
            self._say(f"You are {self._name}, {client.user}; {client.state}")
        elif command != "/quit":
            self._say(HELP)
        return command != "/quit"

    async def _show_events(self, client: Client) -> None:
        async for event in client.events:
            if isinstance(event, ConversationUpdate) and self._current is None and event.conversation.kind:
                self._enter(event.conversation)
            elif isinstance(event, MemberUpdate):
                self._note_name(event.member)
            elif isinstance(event, MessageNew):
                await self._receive_message(client, event)
            elif isinstance(event, ClientState) and event.state != "connecting":
                self._say(
                    "  connected" if event.state == "connected" else "  the connection was lost; reconnecting ..."
                )
            else:
                conversation = getattr(event, "conversation", None)
                of_one = conversation if isinstance(conversation, str) else ""
                line = None if getattr(event, "user", "") == client.known_as(of_one) else line_of(event, self._who)
                if line is not None:
                    place = self._place(of_one) if of_one else ""
                    self._say(f"  {place}{printable(line)}")
            if isinstance(event, ConversationGone) and event.conversation == self._current:
                self._current = None

    async def _receive_message(self, client: Client, event: MessageNew) -> None:
        self._current = self._current or event.conversation
        if event.conversation not in self._titles:
            with suppress(Refused, Disconnected):
                self._title((await client.call("conversation.get", conversation=event.conversation)).conversation)
        if event.conversation == self._current and not event.message.system:
            self._last = event.message.id
        self._show_message(event.message, event.conversation)
        with suppress(Refused, Disconnected):
            await client.notify("receipt.read", conversation=event.conversation, seq=event.message.seq)

    def _show_message(self, message: Message, conversation: str) -> None:
        line = printable(message_line(message, self._who))
        place = self._place(conversation)
        if message.system:
            self._say(f"  {place}{line}")
        else:
            self._print(styled((place, "dim"), (self._who(message.sender), "bold"), f": {line}"))

    def _preview(self, conversation: Conversation) -> str:
        """The last message of a conversation, for `/list`."""
        last = conversation.last_message
        if last is None:
            return ""
        line = message_line(last, self._who)
        return f"  {line}" if last.system else f"  {self._who(last.sender)}: {line}"

    def _who(self, user: str) -> str:
        return self._names.get(user, user[:8])

    def _say(self, text: str) -> None:
        self._print(styled((text, "dim")))

    def _print(self, text: Text) -> None:
        """Print above the line that is being edited."""
        with self._editor.lifted() if self._editor else nullcontext():
            out.print(text)


async def groups_called(client: Client, name: str) -> list[Conversation]:
    """The groups with this title, or the group with this id. Raises Refused, Disconnected."""
    found, cursor = list[Conversation](), None
    while True:
        page = await client.call("conversation.list", limit=100, cursor=cursor)
        found += [one for one in page.items if one.kind == "group" and name in (one.id, one.title)]
        cursor = page.cursor
        if cursor is None:
            return [(await client.call("conversation.get", conversation=one.id)).conversation for one in found]


def user_of(whom: str) -> str:
    """The id of a user, given by id or by name. Raises Refused."""
    user = str(load_state(whom).get("user", whom)).lower()
    if not is_uuid(user):
        raise Refused("not_found", f"{whom} is not a user id, a name used on this machine, or the title of a group")
    return user


def is_address(text: str, scheme: str) -> bool:
    """Whether this is a URL with this scheme, with or without TLS, and a host."""
    try:
        setting_rules.checked_url(text)
    except ValueError:
        return False
    return urlsplit(text).scheme in (scheme, f"{scheme}s")


def socket_url(http: str) -> str:
    """The WebSocket URL of a server, as its HTTP port reports it."""
    with urllib.request.urlopen(f"{http}/v1/socket/ping", timeout=10) as answer:  # noqa: S310
        return str(json.load(answer)["url"])


async def lines() -> AsyncIterator[str]:
    """Lines from standard input, until its end. Waiting for a line does not block the end of the program.

    Bytes that are not UTF-8 are replaced.
    """
    while True:
        line = await trio.to_thread.run_sync(sys.stdin.buffer.readline, abandon_on_cancel=True)
        if not line:
            return
        yield line.decode("utf8", "replace")
