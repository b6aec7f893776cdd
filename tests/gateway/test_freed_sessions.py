"""An ended connection leaves nothing to the garbage collector: no object of chatd is part of a reference cycle."""

import gc
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import CoroutineType, FrameType, FunctionType, GeneratorType, MethodType
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config
from chatd.gateway.endpoint import AuthenticatedPeer
from chatd.gateway.fast_path import FastPathStream
from chatd.gateway.handshake import Handshake
from chatd.gateway.send_queue import SendQueue
from chatd.gateway.session import Session
from chatd.realtime.pending_session import PendingSession
from chatd.realtime.timer_wheel import Timer
from chatd.wire.codec import codecs
from chatd.wire.frames import BINARY, TEXT
from tests.admins import administered, order
from tests.gateway.test_pipelining import ENDS as LATE_ENDS
from tests.support import NOBODY, PATIENCE, Daemon, running
from tests.wire_client import GOOD, Raw

CODECS = [codec.name for codec in codecs([]).values()]
# How often each end happens.
TIMES = 3
CLOSE = Raw.frame_of(b"\x03\xe8", 8)
OF_CHATD = "/chatd/"
# A connection of Hypercorn, which serves the commands of admins, is a cycle by itself.
NOT_THE_SERVER = ("/chatd/client/", "/chatd/http/", "/tests/")


def source(one: object) -> str:
    """The file, or the module, that an object is of; "" for most objects of the language and of libraries."""
    match one:
        case FrameType():
            return one.f_code.co_filename
        case CoroutineType():
            return one.cr_code.co_filename
        case GeneratorType():
            return one.gi_code.co_filename
        case FunctionType():
            return one.__code__.co_filename
        case MethodType():
            return source(one.__func__)
    return f"/{type(one).__module__.replace('.', '/')}/"


def is_of_the_server(one: object) -> bool:
    return OF_CHATD in source(one) and not any(other in source(one) for other in NOT_THE_SERVER)


def description(one: Any) -> str:
    match one:
        case FrameType():
            return one.f_code.co_qualname
        case CoroutineType() | GeneratorType() | FunctionType() | MethodType():
            return one.__qualname__
    return type(one).__qualname__


@contextmanager
def without_collections() -> Iterator[list[object]]:
    """Without the garbage collector within the block. Afterwards the list has the objects of the server in cycles."""
    gc.collect()
    gc.disable()
    found = list[object]()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += [one for one in gc.garbage if is_of_the_server(one)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def live_sessions() -> set[int]:
    """The ids of objects. Those of other tests may exist as long as the process."""
    return {id(one) for one in gc.get_objects() if isinstance(one, Session | FastPathStream | SendQueue)}


End = Callable[["Peer"], Awaitable[None]]


class Peer:
    """A connection with a codec, of a user of its own."""

    def __init__(self, daemon: Daemon, raw: Raw, codec: str, user: str) -> None:
        self.daemon, self.raw, self.codec, self.user = daemon, raw, codec, user

    @property
    def opcode(self) -> int:
        return TEXT if self.codec == "json" else BINARY

    def command(self, tag: str, **fields: Any) -> bytes:
        message = [1, {"t": tag, **fields}]
        return Raw.frame_of(self.encoded(message), self.opcode)

    def encoded(self, message: Any) -> bytes:
        return json.dumps(message).encode() if self.codec == "json" else msgspec.msgpack.encode(message)

    async def refused(self, *lines: str, head: tuple[str, ...] = GOOD) -> None:
        """Send a handshake that is refused, and read the answer."""
        async with Raw.to(self.daemon) as raw:
            await raw.send("\r\n".join([*head, *lines, "", ""]).encode())
            assert b"HTTP/1.1 4" in await raw.read_to_end()


async def close(peer: Peer) -> None:
    await peer.raw.send(CLOSE)
    await peer.raw.read_to_end()


async def shut_down(peer: Peer) -> None:
    await peer.raw.stream.send_eof()
    await peer.raw.read_to_end()


async def cut(peer: Peer) -> None:
    """With RST."""
    peer.raw.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await peer.raw.stream.aclose()


async def cut_with_commands_in_flight(peer: Peer) -> None:
    sends = [peer.command("message.send", conversation=NOBODY, client_id=f"{n}", text="x") for n in range(20)]
    await peer.raw.send(b"".join(sends) + peer.command("session.sync"))
    await cut(peer)


async def kick(peer: Peer) -> None:
    assert (await order(peer.daemon, "kick", user=peer.user)).status == 200
    await peer.raw.send(CLOSE)
    await peer.raw.read_to_end()


async def ban(peer: Peer) -> None:
    assert (await order(peer.daemon, "ban", user=peer.user, reason="x")).status == 200
    await peer.raw.send(CLOSE)
    await peer.raw.read_to_end()


async def use_commands(peer: Peer) -> None:
    """Commands that are answered, refused or not understood, then a close."""
    for command in (
        peer.command("ping", ts=1),
        peer.command("session.sync"),
        peer.command("no.such"),
        peer.command("message.send", text=5),
        peer.command("conversation.get", conversation=NOBODY),
        peer.command("message.send", conversation=NOBODY, client_id="a", text="x"),
        peer.command("presence.set", status="away"),
        peer.command("conversation.open", user=NOBODY),
    ):
        await peer.raw.send(command)
        await peer.raw.frame()
    await close(peer)


async def flood(peer: Peer) -> None:
    """More pings than are allowed."""
    await peer.raw.send(Raw.frame_of(b"", 9) * 1000)
    await peer.raw.read_to_end()


async def send_what_is_not_a_frame(peer: Peer) -> None:
    await peer.raw.send(Raw.frame_of(peer.encoded(5), peer.opcode) + CLOSE)
    await peer.raw.read_to_end()


async def send_the_wrong_type(peer: Peer) -> None:
    await peer.raw.send(Raw.frame_of(b"x", TEXT + BINARY - peer.opcode) + CLOSE)
    await peer.raw.read_to_end()


async def send_fragments(peer: Peer) -> None:
    body = peer.encoded([1, {"t": "ping", "ts": 1}])
    await peer.raw.send(Raw.frame_of(body[:3], peer.opcode, final=False) + Raw.frame_of(body[3:], 0))
    await peer.raw.frame()
    await close(peer)


async def be_refused(peer: Peer) -> None:
    """At each step of the handshake."""
    protocol = f"Sec-WebSocket-Protocol: chatd.v1.{peer.codec}"
    await peer.refused(protocol)
    await peer.refused(protocol, "Authorization: Bearer wrong")
    await peer.refused(protocol, f"Authorization: Bearer {peer.daemon.token(peer.user, exp=1)}")
    await peer.refused("Sec-WebSocket-Protocol: other", f"Authorization: Bearer {peer.daemon.token(peer.user)}")
    await peer.refused(head=("GET /elsewhere HTTP/1.1", *GOOD[1:]))
    await peer.refused(head=("no request", *GOOD[1:]))
    await close(peer)


def late(end: bytes) -> End:
    async def send(peer: Peer) -> None:
        await peer.raw.send(peer.command("session.sync") + end)
        await peer.raw.stream.send_eof()
        await peer.raw.read_to_end()

    return send


ENDS: dict[str, End] = {
    "the client closes": close,
    "the client shuts its side down": shut_down,
    "the line is cut": cut,
    "the line is cut with commands in flight": cut_with_commands_in_flight,
    "an admin kicks the user": kick,
    "an admin bans the user": ban,
    "commands were answered": use_commands,
    "the client floods": flood,
    "a message is not a frame of chatd": send_what_is_not_a_frame,
    "a message has the wrong type": send_the_wrong_type,
    "a message came in fragments": send_fragments,
    "handshakes are refused": be_refused,
} | {f"a command, then {name}": late(end) for name, end in LATE_ENDS.items()}


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    """A daemon for many short connections from one address."""
    gateway = replace(config.gateway, close_timeout=0.2)
    limits = replace(config.limits, accepts_per_address=1e6, accepts_per_second=1e6)
    async with running(administered(replace(config, gateway=gateway, limits=limits))) as started:
        yield started


async def connect_and_end(daemon: Daemon, codec: str, end: End) -> None:
    user, others = str(uuid4()), live_sessions()
    with trio.fail_after(PATIENCE):
        async with Raw.session(daemon, codec, user) as raw:
            await end(Peer(daemon, raw, codec, user))
        while live_sessions() - others:
            await trio.sleep(0.02)


@pytest.mark.parametrize("codec", CODECS)
async def test_an_ended_session_is_freed_at_once(daemon: Daemon, codec: str) -> None:
    left = dict[str, list[str]]()
    for name, end in ENDS.items():
        # What happens for the first time fills caches.
        await connect_and_end(daemon, codec, end)
        with without_collections() as cycles:
            for _ in range(TIMES):
                await connect_and_end(daemon, codec, end)
        left[name] = sorted(map(description, cycles))
    assert left == {name: [] for name in ENDS}


async def test_an_idle_session_keeps_nothing_of_its_handshake(daemon: Daemon) -> None:
    def left() -> list[object]:
        return [one for one in gc.get_objects() if isinstance(one, Handshake | PendingSession | AuthenticatedPeer)]

    others = len(left())
    async with Raw.session(daemon), Raw.session(daemon, user=str(uuid4())):
        assert len(left()) == others


def test_a_cycle_is_found() -> None:
    with without_collections() as cycles:
        timer = Timer(lambda: None, 0)
        timer.call = timer.cancel  # type: ignore[assignment]
        del timer
    assert {"Timer", "Timer.cancel"} <= set(map(description, cycles))
