"""Listening sockets: nothing that is established is lost, and a process without descriptors waits for some."""

import errno
import os
import socket
from contextlib import ExitStack
from typing import Any

import pytest
import trio

from chatd.app.listening import Acceptor, bound, drop_connection_requests, open_listener
from chatd.core.health import Health
from tests.support import PATIENCE, eventually


class Exhausted(socket.socket):
    """A listening socket of a process that has no descriptors left, for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.recovered = trio.CancelScope()

    def accept(self) -> Any:
        self.asked += 1
        if self.asked < 30:
            raise OSError(errno.EMFILE, "Too many open files")
        self.recovered.cancel()
        raise BlockingIOError


async def test_acceptor_without_descriptors_waits_and_logs_once(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    listener = Exhausted()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with listener, socket.create_connection(listener.getsockname()), listener.recovered:
        await Acceptor("test", listener, lambda connection: None).accept()
    (record,) = caplog.records
    assert "Too many open files" in vars(record)["cause"]
    assert "ulimit" in vars(record)["fix"]


async def test_established_connections_are_served_when_accepting_stops() -> None:
    """Without a turn of the loop in between; later clients are refused, or reach another process on the port."""
    listener, served = open_listener("127.0.0.1", 0, 100), list[socket.socket]()
    address = listener.getsockname()
    acceptor = Acceptor("test", listener, served.append)
    with ExitStack() as stack:
        early = [stack.enter_context(socket.create_connection(address)) for _ in range(50)]
        acceptor.stop()
        with trio.fail_after(PATIENCE):
            await acceptor.run(Health())
        assert sorted(one.getpeername() for one in served) == sorted(one.getsockname() for one in early)
        for one in served:
            stack.enter_context(one)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="only Linux can drop connection requests")
async def test_clients_reach_another_process_while_one_stops() -> None:
    """Of two processes on one port: no connection is established with the one that is about to close."""
    served = list[socket.socket]()
    with bound("127.0.0.1", 0, reuse_port=True) as port, ExitStack() as stack:
        address = port.getsockname()
        leaving, staying = (open_listener(*address, 100, reuse_port=True) for _ in range(2))
        drop_connection_requests(leaving)
        for _ in range(20):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        with pytest.raises(BlockingIOError):
            leaving.accept()
        leaving.close()
        async with trio.open_nursery() as nursery:
            acceptor = Acceptor("test", staying, served.append)
            nursery.start_soon(acceptor.run, Health())
            await eventually(lambda: len(served) == 20)
            acceptor.stop()
        for one in served:
            one.close()
