"""Connections that are rejected as soon as they are accepted."""

import socket
from contextlib import ExitStack

import trio
from msgspec.structs import replace

from chatd.core.config import Config
from tests.support import PATIENCE, Daemon, running
from tests.wire_client import Raw, upgrade


def connect(daemon: Daemon) -> socket.socket:
    """Connect from an address that no other test uses."""
    host, _, port = daemon.addresses.socket.removeprefix("ws://").partition("/")[0].partition(":")
    return socket.create_connection((host, int(port)), source_address=("127.0.0.9", 0))


def few(config: Config) -> Config:
    """One connection a second from one address."""
    return replace(config, limits=replace(config.limits, accepts_per_address=1))


async def test_rejected_connections_have_no_task(config: Config) -> None:
    """Whether they send a handshake or not, all get the answer, and the time to retry."""
    async with running(few(config)) as daemon, daemon.person() as alice:
        with ExitStack() as stack:
            # Those that are admitted, and wait for the head of their request.
            for _ in range(6):
                stack.enter_context(connect(daemon))
            await trio.sleep(0.2)
            before = trio.lowlevel.current_statistics().tasks_living
            peers = [stack.enter_context(connect(daemon)) for _ in range(10)]
            for peer in peers[::2]:
                peer.send(upgrade(daemon))
            answers = [await received(peer) for peer in peers]
            assert trio.lowlevel.current_statistics().tasks_living <= before
            for answer in answers:
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"Retry-After: " in answer
                assert b'"unavailable"' in answer
        assert await alice.is_served()


async def test_rejected_connections_that_stay_are_closed(config: Config) -> None:
    async with running(few(config)) as daemon, daemon.person() as alice:
        with ExitStack() as stack:
            peers = [stack.enter_context(connect(daemon)) for _ in range(12)]
            for peer in peers[-6:]:
                assert await eventually_reset(peer)
        assert await alice.is_served()


async def received(peer: socket.socket) -> bytes:
    """The first bytes that arrive."""
    with trio.fail_after(PATIENCE):
        await trio.lowlevel.wait_readable(peer)
    return peer.recv(65536)


async def eventually_reset(peer: socket.socket) -> bool:
    """The other side has closed its socket, not only the direction in which it sends."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                peer.send(b"x")
            except OSError:
                return True
            await trio.sleep(0.02)


async def test_rejected_connection_gets_its_answer_in_spite_of_unread_data(config: Config) -> None:
    async with running(few(config)) as daemon:
        with ExitStack() as stack:
            *_, peer = [stack.enter_context(connect(daemon)) for _ in range(12)]
            peer.send(b"x" * 100_000)
            assert (await received(peer)).startswith(b"HTTP/1.1 503 ")
        async with Raw.to(daemon) as raw:
            await raw.send(upgrade(daemon))
            assert b" 101 " in await raw.read(b"\r\n\r\n")
