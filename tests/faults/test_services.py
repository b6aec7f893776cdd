"""Whatever fails in a background service, the daemon keeps serving, logs it, and recovers by itself."""

import ast
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from chatd.app.jobs import Job
from chatd.conversations.messages.deletion import delete_aged
from chatd.core.config import ClusterTimes, Config
from chatd.core.health import Health
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis, open_redis
from chatd.search.indexer import IndexerTunables
from chatd.search.subsystem import SEARCH, open_search
from tests.cluster.test_bans import moderator
from tests.support import PATIENCE, Daemon, Person, altered, poll_until, running, with_frequent_jobs

__all__ = ["moderator"]
ROOT = Path(__file__).parents[2]

# A service, and the statements that break and repair it.
STATEMENTS = {
    "search index of a conversation": (
        "create function no() returns trigger language plpgsql as $$begin raise 'not today'; end$$; "
        "create trigger no before insert or update on search_index for each row execute function no()",
        "drop function no() cascade",
    ),
    "scheduled messages": (
        "alter table scheduled_messages rename column claimed_until to elsewhere",
        "alter table scheduled_messages rename column elsewhere to claimed_until",
    ),
    "erasure": (
        "alter table erasures rename column claimed_until to elsewhere",
        "alter table erasures rename column elsewhere to claimed_until",
    ),
    "retention": ("alter table job_runs rename to elsewhere", "alter table elsewhere rename to job_runs"),
    "range bans": (
        "alter table bans rename column address_hash to elsewhere",
        "alter table bans rename column elsewhere to address_hash",
    ),
    "reconciler": (
        "alter table logins rename column ended_at to elsewhere",
        "alter table logins rename column elsewhere to ended_at",
    ),
    "expired logins": (
        "alter table refresh_tokens rename column expires_at to elsewhere",
        "alter table refresh_tokens rename column elsewhere to expires_at",
    ),
}
# Keys, without the prefix, that get a value of another kind.
KEYS = ("bus", "presence", "nodes", "lease:match", "fence:match", "match")


OFTEN = with_frequent_jobs(
    0.1,
    altered(
        dataclasses.replace(SEARCH, open=partial(open_search, tunables=IndexerTunables(retry_s=0.2))),
        Job("retention", partial(delete_aged, every_ms=1), 60),
    ),
)


@pytest.fixture
def config(config: Config) -> Config:
    """Short times between nodes, after which sweeps and look-ups run."""
    return replace(config, cluster=ClusterTimes(heartbeat=0.1))


@asynccontextmanager
async def busy(config: Config) -> AsyncIterator[Daemon]:
    """A daemon that does its periodic work all the time."""
    async with running(config, OFTEN) as daemon:
        yield daemon


async def failing(daemon: Daemon) -> set[str]:
    """The failing services, and the others by their status."""
    body = (await daemon.rest("GET", "/readyz")).body
    assert body["status"] in ("ready", "degraded")
    others = {f"{name} {one['status']}" for name, one in body["services"].items() if one["status"] != "ready"}
    return (others - {"background degraded"}) | set(body["services"]["background"].get("failing", []))


async def until(daemon: Daemon, holds: Callable[[set[str]], object], patience: float = 3 * PATIENCE) -> set[str]:
    return await poll_until(lambda: failing(daemon), holds, patience)


async def check_served(alice: Person, bob: Person, conversation: str) -> None:
    for text in ("a", "b"):
        await alice.send(conversation, text)
        assert (await bob.event("message.new"))["message"]["text"] == text


async def test_services_recover_from_failing_statements(
    config: Config, moderator: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with busy(config) as daemon, daemon.pair() as (alice, bob, conversation):
        for broken, _ in STATEMENTS.values():
            await moderator.run(broken)
        await check_served(alice, bob, conversation)
        await until(daemon, lambda found: found >= STATEMENTS.keys())
        await check_served(alice, bob, conversation)
        for _, mended in STATEMENTS.values():
            await moderator.run(mended)
        await until(daemon, lambda found: not found)
        await check_served(alice, bob, conversation)
        found = (await alice.call("message.search", query="a"))["items"]
        assert found
    for name in STATEMENTS:
        logged = [record.getMessage() for record in caplog.records if record.getMessage().startswith(f"{name} ")]
        assert logged == [f"{name} failed", f"{name} recovered"]


@pytest.fixture
async def redis(config: Config) -> Any:
    async with open_redis(config.redis) as opened:
        yield opened


Break = Callable[[Redis], Awaitable[Any]]


async def of_another_kind(redis: Redis) -> None:
    for key in KEYS:
        name = redis.key(*key.split(":"))
        # In one step: the daemon writes these keys all the time.
        await redis.transaction(("DEL", name), ("SADD", name, "not what you think"))


async def foreign_entries(redis: Redis) -> None:
    """Entries of another program, of another version, and of no one."""
    for fields in (
        ("foreign", "1"),
        ("b", "no msgpack"),
        ("b", b"\x93\x01\x02\x03"),
        ("b", b"\xc1"),
        ("b", b"\x81\xa1a\x01"),
        ("", ""),
    ):
        await redis.call("XADD", redis.key("bus"), "*", *fields)
    for number in range(1, 4):
        await redis.call("XADD", redis.key("match"), "*", "f", "x", "n", number, "at", "soon", "s", "{")
        await redis.call("ZADD", redis.key("nodes"), 10**15, b"\xff\xfe")
        await redis.call("ZADD", redis.key("presence"), 1, b"\xff\xfe")


@pytest.mark.parametrize("broken", [of_another_kind, foreign_entries], ids=lambda broken: broken.__name__)
async def test_malformed_keys_in_redis_are_skipped(
    config: Config, moderator: Postgres, redis: Redis, broken: Break
) -> None:
    async with busy(config) as daemon, daemon.pair() as (alice, bob, conversation):
        await broken(redis)
        # Until each service has read its keys.
        await trio.sleep(1.5)
        await check_served(alice, bob, conversation)
        await until(daemon, lambda found: found if broken is of_another_kind else True)
        for key in KEYS:
            await redis.call("DEL", redis.key(*key.split(":")))
        await until(daemon, lambda found: not found, 6 * PATIENCE)
        await check_served(alice, bob, conversation)


async def test_services_recover_from_an_initial_failure(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """All started services: each raises an unexpected error, and is run again."""
    failures: dict[str, int] = {}
    start = Health.start

    def start_broken(
        self: Health, nursery: trio.Nursery, name: str, run: Callable[..., Awaitable[None]], *args: Any
    ) -> None:
        async def broken(*args: Any) -> None:
            if not failures.setdefault(name, 0):
                failures[name] += 1
                raise ExceptionGroup("broken", [KeyError(name), AttributeError(name)])
            await run(*args)

        start(self, nursery, name, broken, *args)

    monkeypatch.setattr(Health, "start", start_broken)
    async with busy(config) as daemon, daemon.pair() as (alice, bob, conversation):
        await check_served(alice, bob, conversation)
        await until(daemon, lambda found: not found)
        await check_served(alice, bob, conversation)
    assert set(failures.values()) == {1}
    assert {
        "bus reader",
        "bus writer",
        "message log 0",
        "matching",
        "presence",
        "search indexer",
        "search notices",
        "gateway accept",
        "http accept",
    } <= set(failures)
    assert len(failures) >= 25


# Tasks without the guard, by file: each ends with its request, connection or step, or guards itself.
UNGUARDED = {
    "chatd/daemon.py": {"listener.run", "cancel_after", "cancel_on_second_signal", "stop"},
    "chatd/core/health.py": {"keep", "_recover_after"},
    "chatd/cli/chat.py": {"self._show_events", "self._warn_unless_connected", "end"},
    "chatd/cli/serve.py": {"end_with_supervisor"},
    "chatd/cli/workers.py": {"cancel_after", "self._hurry"},
    "chatd/gateway/listener.py": {"self._serve_guarded", "reject_early"},
    "chatd/gateway/send_queue.py": {"self._write_entries"},
    "chatd/operations/health.py": {"self._probe"},
    "chatd/importing/files.py": {"store_one"},
    "chatd/event_streams/relay.py": {"self._answer"},
    "chatd/event_streams/service.py": {"self._end"},
    "chatd/http/server.py": {"self._guarded", "server.acceptor.run"},
    "chatd/matching/disconnects.py": {"self._try"},
    "chatd/conversations/messages/scheduler.py": {"send_one"},
    "chatd/matching/pool_owner.py": {"self._remove_unclaimed"},
    "chatd/matching/pairing.py": {"self._carry_out_all"},
    "chatd/presence/service.py": {"self._remove_expired"},
    "chatd/search/indexer.py": {"self._connection.read_notifications"},
    "chatd/db/embedded/watch.py": {"keep"},
    # If the first one fails, the guard runs the deliverer again; the other one handles its failures.
    "chatd/webhooks/deliverer.py": {"self._follow", "self._serve"},
    # Parts of a shard of the log: if one fails, the guard runs the shard again.
    "chatd/conversations/log/writer.py": {"self._publisher.run", "self._deferred.run", "self._expire"},
}


def test_long_running_tasks_are_guarded() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "chatd").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name.startswith("chatd/client/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "start_soon":
                found.setdefault(name, set()).add(ast.unparse(node.args[0]))
    assert {name: tasks - UNGUARDED.get(name, set()) for name, tasks in found.items()} == {
        name: set() for name in found
    }
