"""The reactor serves those who stay before those who leave."""

import socket
from typing import ClassVar

import trio
import trio.testing

from chatd.gateway.reactor import ENDS_PER_TURN, Reactor
from tests.support import PATIENCE


class Peer:
    """One side of a socket pair in the reactor. `log` gets its name at each event."""

    has_dear_end: ClassVar[bool] = True

    def __init__(self, reactor: Reactor, name: str, log: list[str]) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.name, self._log, self._reactor = name, log, reactor
        self.ended = False
        reactor.register(self.near, self)

    async def on_ready(self, *, ended: bool) -> bool:
        try:
            data = self.near.recv(65536)
        except BlockingIOError:
            return False
        self._log.append(self.name)
        if not data:
            self.ended = ended
            self.close()
        return False

    def close(self) -> None:
        self._reactor.unregister(self.near)
        self.near.close()
        self.far.close()


async def test_ends_at_the_same_time_delay_nobody() -> None:
    """Between two events of a peer that stays, the reactor ends a few of the others."""
    reactor, log = Reactor(), list[str]()
    stays = Peer(reactor, "stays", log)
    leaving = [Peer(reactor, "leaves", log) for _ in range(300)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reactor.run)
        for peer in leaving:
            peer.far.close()
        with trio.fail_after(PATIENCE):
            while not all(peer.ended for peer in leaving):
                stays.far.send(b"x")
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    # Two turns of the reactor may fit between two messages.
    assert max(map(len, "".join("x" if name == "leaves" else " " for name in log).split())) <= 2 * ENDS_PER_TURN
    stays.close()
    reactor.close()


class Brief(Peer):
    has_dear_end: ClassVar[bool] = False


async def test_rejected_peers_do_not_wait_for_the_ends_of_sessions() -> None:
    """They hold slots: others would be closed without an answer."""
    reactor, log = Reactor(), list[str]()
    sessions = [Peer(reactor, "session", log) for _ in range(200)]
    rejected = [Brief(reactor, "rejected", log) for _ in range(40)]
    for peer in (*sessions, *rejected):
        peer.far.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reactor.run)
        with trio.fail_after(PATIENCE):
            while not all(peer.ended for peer in (*sessions, *rejected)):
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert log[: len(rejected)].count("rejected") == len(rejected)
    reactor.close()


async def test_descriptor_that_is_used_again_is_not_ended() -> None:
    """A connection is closed while it waits for its turn to end; its descriptor gets another connection."""
    reactor, log = Reactor(), list[str]()
    leaving = [Peer(reactor, "leaves", log) for _ in range(3 * ENDS_PER_TURN)]
    for peer in leaving:
        peer.far.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reactor.run)
        while not log:
            await trio.lowlevel.checkpoint()
        last = leaving[-1]
        assert not last.ended
        descriptor = last.near.fileno()
        last.close()
        new = Peer(reactor, "new", log)
        while new.near.fileno() != descriptor and new.far.fileno() != descriptor:
            new = Peer(reactor, "new", log)
        while sum(peer.ended for peer in leaving) < len(leaving) - 1:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert "new" not in log
        new.far.send(b"x")
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert log[-1] == "new"
        nursery.cancel_scope.cancel()


async def test_data_before_the_end_is_read() -> None:
    reactor, log = Reactor(), list[str]()
    peers = [Peer(reactor, str(number), log) for number in range(2 * ENDS_PER_TURN)]
    for peer in peers:
        peer.far.send(b"x")
        peer.far.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reactor.run)
        await trio.testing.wait_all_tasks_blocked(0.02)
        nursery.cancel_scope.cancel()
    assert sorted(log) == sorted(peer.name for peer in peers)
