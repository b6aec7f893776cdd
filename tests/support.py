"""Fixtures' tools: a daemon in this process, and users who are connected to it."""

import dataclasses
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import jwt
import pytest
import trio
from msgspec.structs import replace
from trio_websocket import ConnectionClosed, connect_websocket_url

from chatd import daemon as daemon_module
from chatd.accounts.settings import AuthSettings
from chatd.app.addresses import Addresses
from chatd.app.audit_log import AuditActor
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem
from chatd.client import Account, Client, Refused, sign_up
from chatd.client.types import MessageNew
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.subsystems import SUBSYSTEMS
from tests.reply import Link, Reply

PATIENCE = 60.0
NOBODY = "00000000-0000-7000-8000-000000000000"
Test = TypeVar("Test", bound=Callable[..., Any])
Found = TypeVar("Found")


def covers(command: str, *codes: str) -> Callable[[Test], Test]:
    """Declare that a test covers this command, or these refusals of it. See test_architecture."""
    return lambda test: test


def operator(tenant: str = "default") -> AuditActor:
    """The actor of a command line, at this time."""
    return AuditActor(tenant, "me", now_ms())


@dataclass
class Daemon:
    """A daemon that runs in this process."""

    config: Config
    addresses: Addresses

    @property
    def secret(self) -> str:
        return self.config.get(AuthSettings).secret

    @asynccontextmanager
    async def person(self, name: str = "somebody", codec: str = "json", **fields: Any) -> AsyncIterator["Person"]:
        """A new connected user."""
        account = await sign_up(self.addresses.http, name=name, **fields)
        async with self.connected(account, codec) as person:
            yield person

    @asynccontextmanager
    async def connected(self, account: Account, codec: str = "json") -> AsyncIterator["Person"]:
        headers = [(b"Authorization", b"Bearer " + account.access_token.encode())]
        async with trio.open_nursery() as nursery:
            connection = await connect_websocket_url(
                nursery, self.addresses.socket, subprotocols=[f"chatd.v1.{codec}"], extra_headers=headers
            )
            person = Person(account, Link(connection), connection)
            _, person.hello = await person.link.receive()
            nursery.start_soon(person.listen)
            try:
                yield person
            finally:
                # Before the end of the connection: its reader could not answer a ping any more.
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(connection)

    @asynccontextmanager
    async def pair(self) -> AsyncIterator[tuple["Person", "Person", str]]:
        """Two connected users, and their direct conversation."""
        async with self.person("alice") as alice, self.person("bob", "msgpack") as bob:
            conversation = await alice.call("conversation.open", user=bob.user)
            yield alice, bob, conversation["conversation"]["id"]

    @asynccontextmanager
    async def people(self, count: int) -> AsyncIterator[list["Person"]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.person(f"p{number}")) for number in range(count)]

    def token(self, user: str, **claims: Any) -> str:
        """An access token as an external issuer would sign it."""
        body = {"sub": user, "exp": 2**31, "jti": str(uuid4()), **claims}
        return jwt.encode(body, self.secret, algorithm="HS256")

    async def rest(
        self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str
    ) -> "Answer":
        """One request, as bytes, so that no library corrects it."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"Host": "chatd.test", "Connection": "close", "Content-Type": "application/json"}
        if method not in ("GET", "HEAD", "TRACE") or data:
            fields["Content-Length"] = str(len(data))
        if token:
            fields["Authorization"] = f"Bearer {token}"
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        host, _, port = self.addresses.http.removeprefix("http://").partition(":")
        with trio.fail_after(PATIENCE):
            stream = await trio.open_tcp_stream(host, int(port))
            async with stream:
                await stream.send_all(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
                return await Answer.receive(stream)


@dataclass
class Answer:
    """A response over HTTP."""

    status: int
    headers: dict[str, str]
    body: Any

    @classmethod
    async def receive(cls, stream: trio.SocketStream) -> "Answer":
        """Read one response by its Content-Length."""
        data = b""
        while not cls.is_whole(data):
            part = await stream.receive_some()
            if not part:
                break
            data += part
        return cls.read(data)

    @staticmethod
    def is_whole(data: bytes) -> bool:
        head, end, content = data.partition(b"\r\n\r\n")
        length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
        return bool(end) and len(content) >= int(length)

    @classmethod
    def read(cls, data: bytes) -> "Answer":
        head, _, content = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        try:
            body = json.loads(content)
        except ValueError:
            body = content
        return cls(int(lines[0].split()[1]), headers, body)


class Person:
    """A connection and the frames it received."""

    def __init__(self, account: Account, link: Link, connection: Any) -> None:
        self.account = account
        self.link = link
        self.connection = connection
        self.hello = Reply()
        self.events: deque[Reply] = deque()
        self.log: list[tuple[str, Reply]] = []
        self.closed: Any = None
        self._news = trio.Condition()

    async def alias(self, conversation: str) -> str:
        """How this person is known in a match."""
        return str((await self.call("conversation.get", conversation=conversation))["conversation"]["alias"])

    async def found(self, partner: "Person", patience: float = PATIENCE) -> Reply:
        """The next `match.found`, which must be of a match with this partner."""
        found = await self.event("match.found", patience)
        assert found["partner"]["id"] == await partner.alias(found["conversation"])
        return found

    @property
    def user(self) -> str:
        return self.account.user

    async def listen(self) -> None:
        try:
            await self.link.run(self._keep, self._keep_answer)
        except ConnectionClosed as closed:
            self.closed = closed.reason
        async with self._news:
            self._news.notify_all()

    def _keep(self, event: Reply) -> None:
        self.events.append(event)
        self.log.append(("event", event))
        trio.lowlevel.spawn_system_task(self._notify)

    def _keep_answer(self, command: dict[str, Any], reply: Reply) -> None:
        self.log.append((command.get("conversation", ""), reply))

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def call(self, command: str, **fields: Any) -> Reply:
        with trio.fail_after(PATIENCE):
            return await self.link.call({"t": command, **fields})

    async def notify(self, command: str, **fields: Any) -> None:
        """Send a command without an answer, under id 0."""
        with trio.fail_after(PATIENCE):
            await self.link.notify({"t": command, **fields})

    async def refused(self, command: str, **fields: Any) -> Refused:
        """The refusal of the command, which must be refused."""
        with pytest.raises(Refused) as caught:
            await self.call(command, **fields)
        return caught.value

    async def send(self, conversation: str, text: str = "hello", **fields: Any) -> Reply:
        return await self.call(
            "message.send", **{"conversation": conversation, "client_id": str(uuid4()), "text": text, **fields}
        )

    async def event(self, kind: str, patience: float = PATIENCE) -> Reply:
        """The next event of this type; earlier events are dropped."""
        with trio.fail_after(patience):
            async with self._news:
                while True:
                    while self.events:
                        event = self.events.popleft()
                        if event["t"] == kind:
                            return event
                    await self._news.wait()

    async def ended(self, patience: float = PATIENCE) -> Any:
        """The close reason, once the connection is closed."""
        with trio.fail_after(patience):
            async with self._news:
                while self.closed is None:
                    await self._news.wait()
        return self.closed

    async def is_served(self) -> bool:
        """Whether the daemon still answers this connection."""
        return bool((await self.call("ping", ts=1))["ts"] == 1)


async def texts(client: Client, count: int) -> list[str]:
    """The texts of the next messages."""
    found: list[str] = []
    with trio.fail_after(3 * PATIENCE):
        async for event in client.events:
            if isinstance(event, MessageNew):
                found.append(event.message.text or "")
                if len(found) == count:
                    return found
    raise AssertionError


async def metric(daemon: Daemon, name: str) -> int:
    """The value of a metric without labels."""
    answer = await daemon.rest("GET", "/metrics", Host="localhost")
    lines = answer.body.decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith(f"{name} "))))


async def dropped(daemon: Daemon) -> int:
    """Event frames that send queues discarded."""
    return await metric(daemon, "chatd_deliveries_dropped_total")


async def eventually(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until the condition holds; fail after a timeout."""
    with trio.fail_after(patience):
        while not holds():
            await trio.sleep(0.01)


async def poll_until(
    look: Callable[[], Awaitable[Found]], holds: Callable[[Found], object] = bool, patience: float = PATIENCE
) -> Found:
    """Repeat a look-up until its result satisfies the condition, and return it; fail after a timeout."""
    with trio.fail_after(patience):
        while not holds(found := await look()):
            await trio.sleep(0.02)
    return found


Subsystems = tuple[Subsystem, ...]


def only_jobs(*jobs: Job, among: Subsystems = SUBSYSTEMS) -> Subsystems:
    """The subsystems, with no other periodic jobs than these."""
    first, *others = among
    return (dataclasses.replace(first, jobs=jobs), *(dataclasses.replace(one, jobs=()) for one in others))


def altered(*changes: Subsystem | Job, among: Subsystems = SUBSYSTEMS) -> Subsystems:
    """The subsystems, with these subsystems and jobs in place of those of the same name."""
    subsystems = {one.name: one for one in changes if isinstance(one, Subsystem)}
    jobs = {one.name: one for one in changes if isinstance(one, Job)}
    assert subsystems.keys() <= {one.name for one in among}
    assert jobs.keys() <= {job.name for one in among for job in one.jobs}
    found = (subsystems.get(one.name, one) for one in among)
    return tuple(dataclasses.replace(one, jobs=tuple(jobs.get(job.name, job) for job in one.jobs)) for one in found)


def with_frequent_jobs(every_s: float, among: Subsystems = SUBSYSTEMS) -> Subsystems:
    """The subsystems, with all periodic jobs at this interval."""
    return altered(*(dataclasses.replace(job, every_s=every_s) for one in among for job in one.jobs), among=among)


@asynccontextmanager
async def running(config: Config, subsystems: Subsystems = SUBSYSTEMS) -> AsyncIterator[Daemon]:
    """A daemon in this process as long as the block lasts."""
    async with trio.open_nursery() as nursery:
        send, receive = trio.open_memory_channel[Addresses](1)

        async def serve() -> None:
            await daemon_module.run(config, ready=send.send_nowait, subsystems=subsystems)

        nursery.start_soon(serve)
        with trio.fail_after(PATIENCE):
            addresses = await receive.receive()
        yield Daemon(config, addresses)
        nursery.cancel_scope.cancel()


def restarted(config: Config) -> Config:
    """The same for a daemon after another one, which was cancelled: without its node, which no longer answers."""
    return replace(config, redis=replace(config.redis, prefix=f"{config.redis.prefix}-restarted"))


@pytest.fixture
def shared(shared_daemon: Daemon) -> Daemon:
    """The fixture `daemon` of a module whose tests share one: see `shared_daemon`."""
    return shared_daemon
