"""An event for thousands of connections does not block the event loop."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config
from tests.abuse.lag import probed
from tests.abuse.test_event_loop import LIMIT_S, no_collections
from tests.support import Daemon, Person, running
from tests.wire_client import Raw

__all__ = ["no_collections"]
# As many as `ulimit -n` allows: each takes two descriptors of this process.
SESSIONS, AT_ONCE = int(os.environ.get("SESSIONS", "1000")), 10


@asynccontextmanager
async def connected(daemon: Daemon, users: list[str], count: int) -> AsyncIterator[list[Raw]]:
    """Open connections, evenly among the users and the codecs."""
    opened: list[Raw] = []

    async def connect(stack: AsyncExitStack, first: int) -> None:
        for number in range(first, count, AT_ONCE):
            codec = ("json", "msgpack")[number // AT_ONCE % 2]
            opened.append(await stack.enter_async_context(Raw.session(daemon, codec, users[number % len(users)])))

    async with AsyncExitStack() as outer:
        async with trio.open_nursery() as nursery:
            for first in range(AT_ONCE):
                nursery.start_soon(connect, await outer.enter_async_context(AsyncExitStack()), first)
        yield opened


async def each_takes_one(connections: list[Raw], marker: bytes) -> None:
    """Each of them receives a frame with the marker.

    All wait for the last one, as their order is that of the delivery.
    """
    for connection in connections:
        while marker not in (await connection.frame())[1]:
            pass


@pytest.mark.usefixtures("no_collections")
async def test_event_for_thousands_of_sessions_does_not_hold_the_loop(config: Config) -> None:
    most = SESSIONS + 10
    limits = replace(
        config.limits,
        sessions_per_user=most,
        connections_per_address=most,
        pending_per_address=most,
        accepts_per_second=most,
        accepts_per_address=most,
    )
    patient = replace(config, limits=limits, gateway=replace(config.gateway, heartbeat=600.0))
    async with (
        running(patient) as daemon,
        daemon.pair() as (alice, bob, room),
        connected(daemon, [alice.user, bob.user], SESSIONS) as connections,
    ):
        for name, work in (("send", say), ("edit", edit), ("typing", type_), ("read", read)):
            found = []
            for attempt in range(3):
                with probed() as probe:
                    await work(alice, room, f"{name} {attempt}")
                    if name in ("send", "edit"):
                        await each_takes_one(connections, f"{name} {attempt}".encode())
                found.append((probe.worst_s, probe.task))
                if probe.worst_s < LIMIT_S:
                    break
            print(f"{name}: the longest step takes {min(found)[0] * 1000:.2f} ms")
            assert min(found)[0] < LIMIT_S, (name, found)


async def say(person: Person, room: str, text: str) -> None:
    await person.send(room, text)


async def edit(person: Person, room: str, text: str) -> None:
    (message,) = (await person.call("message.history", conversation=room, limit=1))["items"]
    await person.call("message.edit", conversation=room, message=message["id"], text=text)


async def type_(person: Person, room: str, text: str) -> None:
    for command in ("typing.start", "typing.stop"):
        await person.call(command, conversation=room)


async def read(person: Person, room: str, text: str) -> None:
    (message,) = (await person.call("message.history", conversation=room, limit=1))["items"]
    await person.call("receipt.read", conversation=room, seq=message["seq"])
