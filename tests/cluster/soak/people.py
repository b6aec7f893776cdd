"""Users who send messages in groups, and the log of each."""

import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import msgspec
import trio
from trio_websocket import ConnectionClosed

from chatd.client import Account, Client, Disconnected, Refused, sign_up
from tests.cluster.soak.fleet import Fleet
from tests.reply import Reply

# One in this many messages is followed by a change of an earlier one.
CHANGES, LAST = 0.15, 50
UP, DOWN, EVENT, ANSWER = "up", "down", "event", "answer"


@dataclass(slots=True)
class Sent:
    """One message from the request to its ack or its refusal."""

    conversation: str
    sender: str
    text: str
    invoked: float
    acked: float = 0.0
    seq: int = 0
    id: str = ""
    refused: str = ""
    client_id: str = ""
    # The text of an edit, whether or not it was acknowledged; None: deleted.
    later: list[str | None] = field(default_factory=list)
    rev: int = 0

    def may_say(self, text: str | None) -> bool:
        return text == self.text or text in self.later


@dataclass(slots=True)
class Frame:
    """A frame from the socket: `kind` is up, event, answer (`command` is what it answers) or down."""

    at: float
    kind: str
    body: Reply
    command: dict[str, Any] = field(default_factory=dict)


class Recorder(Client):
    """A client that keeps all frames. The body of a frame `down` has the close code, if there was one."""

    def __init__(self, fleet: Fleet, account: Account) -> None:
        super().__init__("ws://any", account, "msgpack", None, fleet.dial)
        self._backoff._most = 0.5
        self.wire: list[Frame] = []

    def _note(self, kind: str, body: Reply, command: dict[str, Any] | None = None) -> None:
        self.wire.append(Frame(trio.current_time(), kind, body, command or {}))

    async def _use_connection(self, nursery: trio.Nursery) -> None:
        self._note(UP, Reply())
        try:
            await super()._use_connection(nursery)
        finally:
            self._note(DOWN, Reply())

    def _on_event(self, event: dict[str, Any]) -> None:
        self._note(EVENT, Reply(event))
        super()._on_event(event)

    def _on_answer(self, command: dict[str, Any], reply: dict[str, Any]) -> None:
        self._note(ANSWER, Reply(reply), command)
        super()._on_answer(command, reply)

    async def _after_close(self, closed: ConnectionClosed) -> float | None:
        if closed.reason:
            self.wire[-1].body["code"] = closed.reason.code
        return await super()._after_close(closed)


class Person:
    """A user: the messages they sent, and what their client received, in order."""

    def __init__(self, account: Account, client: Recorder) -> None:
        self.user = account.user
        self.client = client
        self.sent: list[Sent] = []
        self.received: list[Reply] = []
        self.read: dict[str, int] = {}

    async def listen(self) -> None:
        """Keep received events until cancelled, and mark messages as read from time to time."""
        async with trio.open_nursery() as nursery:
            async for typed in self.client.events:
                event = Reply(msgspec.to_builtins(typed))
                self.received.append(event)
                if event["t"] == "message.new":
                    self.read[event["conversation"]] = event["message"]["seq"]
                    if event["message"]["seq"] % 16 == 0:
                        nursery.start_soon(self.say_read, event["conversation"])
                self.notice(event)

    def notice(self, event: Reply) -> None:
        """Notify subclasses of an event."""

    async def say_read(self, conversation: str) -> None:
        try:
            await self.client.read(conversation, self.read[conversation])
        except (Refused, Disconnected):
            return

    async def say(self, conversation: str, text: str) -> Sent:
        """Send a message; return when it is acknowledged or refused."""
        sent = Sent(conversation, self.user, text, trio.current_time(), client_id=str(uuid4()))
        self.sent.append(sent)
        try:
            ack = await self.client.send(conversation, text, client_id=sent.client_id)
            sent.acked, sent.seq, sent.rev, sent.id = trio.current_time(), ack.seq, ack.rev, ack.message
        except Refused as refused:
            sent.refused = refused.code
        return sent

    async def change_something(self, conversation: str, rng: random.Random) -> None:
        """Edit, delete or react to one of the last messages; any outcome is fine."""
        mine = [
            sent
            for sent in self.sent[-LAST:]
            if sent.conversation == conversation and sent.acked and None not in sent.later
        ]
        if not mine:
            return
        sent, way = rng.choice(mine), rng.randrange(3)
        try:
            if way == 0:
                sent.later.append(f"{sent.text}, edited {len(sent.later)}")
                await self.client.edit(conversation, sent.id, str(sent.later[-1]))
            elif way == 1:
                sent.later.append(None)
                await self.client.delete(conversation, sent.id)
            else:
                await self.client.react(conversation, sent.id, "👍")
        except (Refused, Disconnected):
            return

    def shown(self, conversation: str) -> dict[int, str | None]:
        """The texts by `seq` that an app shows which knows only the received events."""
        events = [event for event in self.received if event["t"] in ("message.new", "message.update")]
        return {
            event["message"]["seq"]: event["message"].get("text")
            for event in events
            if event["conversation"] == conversation
        }

    def messages(self, conversation: str) -> list[Reply]:
        """The messages received, in order."""
        return [
            event for event in self.received if event["t"] == "message.new" and event["conversation"] == conversation
        ]


@dataclass
class Group:
    """A conversation and its members."""

    id: str
    members: list[Person]

    async def write(self, number: int, rng: random.Random, pause: float, over: trio.Event) -> None:
        """Send messages as one member, one after the other."""
        count = 0
        while not over.is_set():
            await self.members[number].say(self.id, f"{number}-{count}")
            count += 1
            if rng.random() < CHANGES:
                await self.members[number].change_something(self.id, rng)
            await trio.sleep(rng.random() * pause)


@asynccontextmanager
async def connected(person: Person) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(person.client.run, nursery)
        nursery.start_soon(person.listen)
        await person.client.wait_connected()
        yield
        nursery.cancel_scope.cancel()


async def come(
    fleet: Fleet, kind: type[Person], account: Account | None = None, *, task_status: trio.TaskStatus[Person]
) -> None:
    """Connect a user who stays until the end."""
    account = account or await sign_up(fleet.http)
    person = kind(account, Recorder(fleet, account))
    async with connected(person):
        task_status.started(person)
        await trio.sleep_forever()


async def make_group(members: Iterable[Person]) -> Group:
    people = list(members)
    made = await people[0].client.create([person.user for person in people])
    return Group(made.conversation.id, people)
