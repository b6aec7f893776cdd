"""`chatd bench send` against a daemon: its measurements and its verdict."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from chatd.bench.client import Client
from chatd.bench.client_log import Behind, Fetched, Received, Synced
from chatd.bench.run import Options, Run, RunFailed
from chatd.bench.send import Send
from chatd.bench.target import BadTarget, Target
from tests.bench.runs import counts, result_of, run_of
from tests.conftest import Servers
from tests.forked import run_chatd
from tests.support import Daemon


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Daemon:
    return shared_daemon


async def test_every_message_is_acknowledged_and_delivered(daemon: Daemon) -> None:
    result = await result_of(run_of(daemon), Send)
    assert result.is_good
    assert (result.verdict.sent, result.verdict.acked, result.verdict.received) == (72, 72, 72)
    # Those of the warm-up are checked, and not measured.
    assert counts(result) == {"ack": 60, "delivery": 60}


async def test_latencies_count_from_the_planned_time(daemon: Daemon) -> None:
    """A load generator that was stopped for a while does not hide what that has delayed."""

    class Stalled(Send):
        def fire(self, number: int, now: float) -> None:
            if number == 30:
                time.sleep(0.5)
            super().fire(number, now)

    result = await result_of(run_of(daemon), Stalled)
    late = [latency for latency in result.latencies["ack"] if latency > 0.2]
    # At 60 per second, 18 messages or more were planned for more than 0.2 s before the end of the stop.
    assert len(late) >= 18
    assert any("fell behind its plan" in warning for warning in result.warnings)


async def test_a_connection_that_ends_is_reported_and_its_messages_are_no_loss(daemon: Daemon) -> None:
    class Cut(Send):
        def fire(self, number: int, now: float) -> None:
            super().fire(number, now)
            if number == 40:
                client = self.run.clients[0]
                client.abandon(now)
                self.on_ended(client, "cut", now)

    result = await result_of(run_of(daemon), Cut)
    assert result.verdict.faults == []
    assert result.ended == {"cut": 1}
    assert not result.is_good


async def test_a_loss_is_found(daemon: Daemon) -> None:
    class Forgetful(Send):
        def on_message(self, client: Client, message: Any, now: float) -> None:
            super().on_message(client, message, now)
            if message.client_id == "20":
                client.log.entries.remove(next(one for one in client.log.entries if is_message(one, "20")))

    result = await result_of(run_of(daemon), Forgetful)
    assert [(fault.kind, fault.client_id) for fault in result.verdict.faults] == [("lost", "20")]
    assert not result.is_good


async def test_a_client_that_is_behind_syncs(daemon: Daemon) -> None:
    """It counts what it gets from the sync: a message that is in no event is no loss."""

    class Slow(Send):
        def fire(self, number: int, now: float) -> None:
            super().fire(number, now)
            client, conversation = self.run.clients[1], self._conversations[0]
            if number == 30:
                # What a slow reader gets: from here on nothing, and then `behind`.
                client.on_payload = lambda payload, now: None  # type: ignore[method-assign]
            elif number == 50:
                del client.on_payload
                behind = {"t": "behind", "conversation": conversation, "rev": client._known[conversation] + 1}
                client.on_payload(msgspec.msgpack.encode([0, behind]), now)

    run = run_of(daemon, Options(connections=4, rate=60, seconds=1, warm_up_s=0, drain_timeout_s=1))
    result = await result_of(run, Slow)
    kinds = [type(entry) for entry in run.clients[1].log.entries]
    assert kinds.index(Behind) < kinds.index(Fetched) < len(kinds) - 1 - kinds[::-1].index(Synced)
    # Its own acks were dropped as well.
    assert {str(fault.kind) for fault in result.verdict.faults} == {"delivered without an ack"}


def is_message(entry: Any, client_id: str) -> bool:
    return isinstance(entry, Received) and entry.client_id == client_id


@pytest.mark.parametrize("url", ["wss://127.0.0.1/v1/ws", "http://127.0.0.1", "127.0.0.1:80", "ws://"])
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(BadTarget):
        Target.parse(url, str)


async def test_a_server_that_refuses_all_clients_is_reported(daemon: Daemon) -> None:
    options = Options(connections=6, prepare_timeout_s=0.1)
    run = Run(Target.parse(daemon.addresses.socket, lambda user: "nonsense"), options, lambda what, share: None)
    with pytest.raises(RunFailed, match="6 clients cannot connect: refused with 401"):
        await result_of(run, Send)


@pytest.fixture
def chatd(daemon: Daemon, servers: Servers, tmp_path: Path) -> Callable[..., Any]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "CHATD_AUTH__SECRET": daemon.secret}
    return lambda *arguments: run_chatd(arguments, tmp_path, environment)


OPTIONS = ("--connections", "4", "--rate", "40", "--seconds", "0.5", "--warm-up", "0.1")


async def test_the_command_prints_json(daemon: Daemon, chatd: Callable[..., Any]) -> None:
    arguments = ("bench", "send", "--url", daemon.addresses.socket, *OPTIONS, "--json")
    done = await trio.to_thread.run_sync(chatd, *arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"]["good"]
    assert found["latencies_ms"]["ack"]["count"] == 20


async def test_the_command_prints_a_table(daemon: Daemon, chatd: Callable[..., Any]) -> None:
    done = await trio.to_thread.run_sync(chatd, "bench", "send", "--url", daemon.addresses.socket, *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert "verdict: good (24 sent, 24 acknowledged" in done.stdout


async def test_without_a_url_it_starts_a_server(chatd: Callable[..., Any]) -> None:
    done = await trio.to_thread.run_sync(chatd, "bench", "send", *OPTIONS, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["figures"]["server us per operation"] > 0
