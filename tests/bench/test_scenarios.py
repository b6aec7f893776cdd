"""The other scenarios of `chatd bench`, each against a daemon."""

import pytest

from chatd.bench.fanout import Fanout
from chatd.bench.match import Match
from chatd.bench.mixed import Mixed
from chatd.bench.resume import Resume
from chatd.bench.run import Options
from chatd.bench.sessions import Connect, Idle
from chatd.bench.storm import Storm
from chatd.bench.typing import Typing
from tests.bench.runs import counts, result_of, run_of
from tests.support import Daemon


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Daemon:
    return shared_daemon


async def test_each_message_of_a_group_reaches_all_other_members(daemon: Daemon) -> None:
    result = await result_of(run_of(daemon, Options(connections=8, rate=20, seconds=1, warm_up_s=0.1)), Fanout)
    assert result.is_good
    assert (result.verdict.sent, result.verdict.received) == (22, 22 * 7)
    assert counts(result) == {"ack": 20, "delivery": 140, "delivery to the last member": 20}


async def test_each_typing_event_is_answered_and_delivered(daemon: Daemon) -> None:
    result = await result_of(run_of(daemon), Typing)
    assert result.is_good
    assert counts(result) == {"answer to typing": 60, "typing delivery": 60}


async def test_users_connect_and_the_oldest_connections_end(daemon: Daemon) -> None:
    run = run_of(daemon)
    result = await result_of(run, Connect)
    assert result.is_good
    assert counts(result) == {"connected": 60}
    assert sum(client.is_connected for client in run.clients) == 6


async def test_idle_connections_stay(daemon: Daemon) -> None:
    run = run_of(daemon, Options(connections=30, rate=30, seconds=1, warm_up_s=0))
    result = await result_of(run, Idle)
    assert result.is_good
    assert counts(result) == {"ping": 30}
    assert all(client.is_connected for client in run.clients)


async def test_a_mix_of_operations_is_answered(daemon: Daemon) -> None:
    result = await result_of(run_of(daemon, Options(connections=10, rate=100, seconds=1, warm_up_s=0)), Mixed)
    assert result.is_good
    assert not result.refusals
    found = counts(result)
    assert (found["ack"], found["delivery"], found["answer to typing"]) == (40, 40, 30)
    assert found["read receipt"] + found["history"] == 30


async def test_clients_that_lose_their_connections_lose_no_message(daemon: Daemon) -> None:
    result = await result_of(run_of(daemon, Options(connections=20, rate=100, seconds=1.5, warm_up_s=0)), Resume)
    assert result.is_good
    found = counts(result)
    assert found["ack"] == found["delivery"] == result.verdict.sent
    assert found["connected"] == found["complete again"] == 75 - result.figures["skipped, still reconnecting"]


async def test_users_who_search_are_matched(daemon: Daemon) -> None:
    result = await result_of(run_of(daemon, Options(connections=20, rate=20, seconds=1, warm_up_s=0)), Match)
    assert result.is_good
    assert not result.refusals
    left = result.figures["still searching"] + result.figures["skipped, no user was free"]
    assert counts(result)["match found"] + left == 20


async def test_all_clients_come_back_after_a_storm(daemon: Daemon) -> None:
    run = run_of(daemon, Options(connections=40, rate=20, seconds=2, warm_up_s=0.2))
    result = await result_of(run, Storm)
    assert result.is_good
    found = counts(result)
    assert found["synced, since the disconnect"] == 40
    assert found["ack"] == found["delivery"] == 40
    assert all(client.is_connected for client in run.clients)
