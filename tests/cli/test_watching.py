"""`chatd nodes` and `chatd top`, with a daemon."""

import json
from collections.abc import AsyncIterator, Callable
from io import StringIO
from subprocess import CompletedProcess
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from rich.console import Console

from chatd import __version__
from chatd.cli.printing import plain
from chatd.cli.top import picture
from chatd.core.config import Config
from chatd.core.histogram import Histogram
from chatd.db.redis import Redis, open_redis
from chatd.operations.rates import View, view_of
from chatd.operations.snapshot import Identity, Snapshot
from tests.accounts.test_logins import devices
from tests.cli.test_commands import chatd, environment
from tests.operations.test_node_registry import those_who
from tests.support import Daemon

__all__ = ["chatd", "environment"]
Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
async def redis(config: Config, loop: None) -> AsyncIterator[Redis]:
    async with open_redis(config.redis) as opened:
        yield opened


async def attempted(run: Run, config: Config, *arguments: str) -> "CompletedProcess[str]":
    """Run the command while the daemon in this process runs."""
    return await trio.to_thread.run_sync(
        lambda: run(*arguments, CHATD_REDIS__PREFIX=config.redis.prefix, COLUMNS="200")
    )


async def beside(run: Run, config: Config, *arguments: str) -> "CompletedProcess[str]":
    """The same for a command that must succeed."""
    done = await attempted(run, config, *arguments)
    assert done.returncode == 0, done.stderr
    return done


async def test_nodes_are_listed(daemon: Daemon, config: Config, redis: Redis, chatd: Run) -> None:
    async with daemon.person():
        await those_who(redis, 1)
        # Until the next snapshot of the node, which has the session.
        await trio.sleep(1.1)
        (row,) = json.loads((await beside(chatd, config, "nodes", "--json")).stdout)
        assert (row["version"], row["sessions"], row["state"]) == (__version__, 1, "ready")
        assert (row["socket"], row["http"]) == (daemon.addresses.socket, daemon.addresses.http)
        text = (await beside(chatd, config, "nodes")).stdout
        assert row["node"][:8] in text
        assert row["address"].rpartition(":")[2] in text


async def test_nodes_and_top_fail_without_a_node(chatd: Run) -> None:
    assert json.loads(chatd("nodes", "--json", CHATD_REDIS__PREFIX="nobody").stdout) == []
    away = chatd("nodes", CHATD_REDIS__URL="redis://127.0.0.1:1")
    assert (away.returncode, "Redis is unreachable" in away.stderr, "Traceback" in away.stderr) == (1, True, False)


async def test_top_once_prints_one_sample(daemon: Daemon, config: Config, redis: Redis, chatd: Run) -> None:
    async with daemon.pair() as (alice, bob, conversation), trio.open_nursery() as nursery:

        async def talk() -> None:
            while True:
                await alice.send(conversation)
                await bob.event("message.new")
                await trio.sleep(0.02)

        nursery.start_soon(talk)
        await bob.call("match.find", queue="chess")
        await those_who(redis, 1)
        view = json.loads((await beside(chatd, config, "top", "--once", "--json")).stdout)
        (node,) = view["nodes"]
        assert view["messages"] == node["messages"] > 0
        assert view["deliveries"] > 0
        assert (view["connections"], node["sessions"], node["state"]) == (2, 2, "ready")
        sends = view["commands"]["message.send"]
        assert 0 < sends["p50"] <= sends["p99"]
        assert view["match"] == {"owner": node["node"], "waiting": 1, "queues": [["default", "chess", 1]]}
        nursery.cancel_scope.cancel()


def snapshot(node: str, at: int, **fields: Any) -> Snapshot:
    """The snapshot of a node without other activity."""
    return replace(
        Snapshot(identity=Identity(node, "host", 1, "1", 0, "ws://x", "http://x"), at=at, state="ready"),
        **fields,
    )


def numbers(**values: float) -> dict[str, Any]:
    return {f"chatd_{name}": [((), value)] for name, value in values.items()}


def commands(**durations: Histogram) -> dict[str, Any]:
    return {"chatd_command_seconds": [((tag,), histogram) for tag, histogram in durations.items()]}


def commits(*durations: float) -> dict[str, Any]:
    return {"chatd_message_log_commit_seconds": [((), noted(*durations))]}


def noted(*durations: float) -> Histogram:
    histogram = Histogram()
    for seconds in durations:
        histogram.observe(seconds)
    return histogram


def drawn(view: View) -> str:
    console = Console(width=80, file=StringIO(), force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(picture(view))
    return captured.get()


def test_rates_are_differences_of_snapshots() -> None:
    before = snapshot("a", 1000, numbers=numbers(messages_total=5), durations=commands(ping=noted(9, 9, 9)))
    now = snapshot(
        "a",
        3000,
        numbers=numbers(messages_total=25, message_log_waiting_entries=7),
        durations=commands(ping=noted(9, 9, 9, 0.0002, 0.0002), x=noted(0.2)),
    )
    view = view_of([before], [now])
    (line,) = view.nodes
    assert "1 nodes, 0 connections, 10.0 messages/s" in drawn(view)
    assert (view.messages, line.message_log_waiting, line.commands.rate) == (10, 7, 1.5)
    assert {tag: (one.rate, one.p50, one.p99) for tag, one in view.commands.items()} == {
        "ping": (1, 0.25, 0.25),
        "x": (0.5, 250, 250),
    }


def test_state_of_the_search_index_is_shown() -> None:
    for figures, expected in (
        ({"search_indexer_up": 1}, "search index: up to date"),
        (
            {"search_indexer_up": 1, "search_behind_seconds": 3, "search_behind_changes": 9},
            "9 changes wait, the oldest for 3 s",
        ),
        ({"search_behind_seconds": 60}, "search index: no index process runs"),
    ):
        assert expected in drawn(view_of([], [snapshot("a", 1000, numbers=numbers(**figures))]))


def test_new_node_is_measured_from_its_start() -> None:
    young = snapshot("young", 500, numbers=numbers(deliveries_total=100), durations=commits(0.001))
    view = view_of([snapshot("left", 400)], [young])
    assert [(line.node, line.deliveries, line.commits.p99) for line in view.nodes] == [("young", 200, 1)]


def test_numbers_are_not_folded_on_a_narrow_terminal() -> None:
    identity = Identity("a", "a-host-with-a-long-name.internal.example.org", 1234567, "1", 0, "", "")
    many = numbers(deliveries_total=7_654_000, connections=98_765, message_log_waiting_entries=19_999)
    text = drawn(view_of([], [snapshot("a", 1000, identity=identity, durations=commits(0.1, 3), numbers=many)]))
    for number in ("7654000", "98765", "19999", "100/5000"):
        assert number in text


def test_view_without_nodes_is_empty() -> None:
    assert view_of([], []).nodes == []
    same = snapshot("a", 1000)
    view = view_of([same], [same])
    assert (view.messages, view.nodes[0].commands.p50, view.match.owner) == (0, None, "")


def test_data_in_redis_cannot_control_the_terminal() -> None:
    evil = "\x1b]0;owned\x07[red]x\r\n"
    assert plain(evil).plain == "?]0;owned?[red]x??"
    node = snapshot(
        "a", 1000, state=evil, numbers=numbers(match_pool_owner=1, match_waiting_tickets=1), queues=[(evil, evil, 1)]
    )
    node.durations = commands(**{evil: noted(0.1)})
    text = drawn(view_of([], [node]))
    assert "\x1b]" not in text
    assert "\x07" not in text
    assert "[red]x" in text


async def test_one_login_of_a_user_is_ended(daemon: Daemon, config: Config, chatd: Run) -> None:
    async with devices(daemon, "phone", "tablet") as (phone, tablet):
        found = json.loads((await beside(chatd, config, "users", "logins", phone.user, "--json")).stdout)
        assert {row["name"] for row in found} == {"phone", "tablet"}
        lost = next(row["id"] for row in found if row["name"] == "phone")
        assert f"{lost}  phone\n    ios, since" in (await beside(chatd, config, "users", "logins", phone.user)).stdout
        ended = await beside(chatd, config, "users", "end-login", phone.user, lost)
        assert (ended.returncode, ended.stdout) == (0, "The login has ended.\n")
        assert (await phone.ended()).code == 4404
        assert (await tablet.event("login.ended"))["logins"] == [lost]
        again = await attempted(chatd, config, "users", "end-login", phone.user, lost)
        assert (again.returncode, "the user has no such login" in again.stderr) == (1, True)
