"""Operator commands while two nodes run: list and kick sessions, trace messages."""

import dataclasses
import getpass
import json
import os
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import trio
import typer
from msgspec import to_builtins
from msgspec.structs import replace
from trio_websocket import connect_websocket_url
from typer.testing import CliRunner

from chatd.accounts.bans import address_hashes
from chatd.accounts.settings import AuthSettings
from chatd.app import audit_log
from chatd.app.context import Node
from chatd.app.subsystem import Subsystem
from chatd.cli import cluster, sessions, trace
from chatd.cli.main import app
from chatd.client import connect, sign_up
from chatd.cluster import control_messages
from chatd.cluster.stream_entries import ENCODE, Entry, announce, recent
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis, open_redis
from chatd.operations import node_queries
from chatd.operations.node_queries import AskHealth, AskKick, AskSessions, NodeQueries
from chatd.operations.node_query_types import Health, Sessions
from chatd.operations.subsystem import OPERATIONS, open_operations
from tests.cluster.test_bans import moderator
from tests.cluster.test_two_nodes import nodes, pair_on
from tests.forked import run_chatd
from tests.support import NOBODY, PATIENCE, Person, altered, eventually, poll_until, running

__all__ = ["moderator"]


def environment_of(config: Config) -> dict[str, str]:
    return os.environ | {
        "CHATD_POSTGRES__DSN": config.postgres.dsn,
        "CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY": "true",
        "CHATD_REDIS__URL": config.redis.url,
        "CHATD_REDIS__PREFIX": config.redis.prefix,
        "CHATD_AUTH__SECRET": config.get(AuthSettings).secret,
        "CHATD_DATA__SECRET": config.data.secret,
        "CHATD_DATA__DIR": config.data.dir,
        "COLUMNS": "200",
    }


async def chatd(config: Config, *arguments: str) -> "CompletedProcess[str]":
    """Run a command in its own process, while the nodes run in this one."""
    return await trio.to_thread.run_sync(run_chatd, arguments, Path.cwd(), environment_of(config))


async def listed(
    config: Config, user: str | None = None, tenant: str = "default", limit: int = 100
) -> list[dict[str, Any]]:
    """The output of `chatd sessions list`, without a process."""
    return sessions.rows_of(await sessions.find(config, tenant, user, limit))


async def kicked(config: Config, *, user: str | None = None, session: str | None = None, reason: str = "") -> list[str]:
    """`chatd sessions kick`; return the ids of the sessions."""
    return [
        row["id"] for row in sessions.rows_of(await sessions.kick_sessions(config, "default", user, session, reason))
    ]


async def followed(config: Config, message: str) -> Any:
    """The output of `chatd trace --json`."""
    path, _ = await trace.follow(config, "default", message, None)
    return to_builtins(path)


async def node_of(config: Config, person: Person) -> str:
    """The name of the node that the user is connected to."""
    return str((await listed(config, person.user))[0]["node"])


async def write_as(redis: Redis, name: str, number: int = 1) -> None:
    """Write an entry of the bus under the name of this node."""
    await redis.call("XADD", redis.key("bus"), "*", "b", ENCODE(Entry(name, number, [], [])))


# --- sessions -----------------------------------------------------------------------------------------------------


async def test_the_sessions_of_all_nodes_are_listed(config: Config) -> None:
    async with nodes(config) as (one, two), pair_on(one, two) as (alice, bob, _):
        done = await chatd(config, "sessions", "list", "--json")
        found = json.loads(done.stdout)
        by_user = {row["user"]: row for row in found["sessions"]}
        assert (found["total"], found["silent"], set(by_user)) == (2, {}, {alice.user, bob.user})
        ann, ben = by_user[alice.user], by_user[bob.user]
        assert (ann["codec"], ben["codec"], ann["id"], ann["queued_frames"]) == (
            "json",
            "msgpack",
            alice.hello["session"],
            0,
        )
        assert ann["node"] != ben["node"]
        now = now_ms()
        for row in (ann, ben):
            assert now - 60_000 < row["connected_at"] <= now
            assert now - 60_000 < row["active_at"] <= now
            assert now < row["expires_at"]
            assert len(row["login"]) == 36
        assert ann["address"] == address_hashes(config, "127.0.0.1")[0].hex()[:16]
        shown = await chatd(config, "sessions", "list", "--limit", "1")
        assert "1 of 2; see --limit" in shown.stdout
        assert alice.hello["session"] in shown.stdout
        assert "127.0.0.1" not in shown.stdout + done.stdout
        assert await listed(config, tenant="other") == await listed(config, NOBODY) == []


async def test_the_queue_of_a_slow_reader_is_shown(config: Config) -> None:
    gateway = replace(config.gateway, outbox_bytes=2**26, outbox_frames=10**6)
    async with (
        running(replace(config, gateway=gateway)) as daemon,
        daemon.person() as writer,
        trio.open_nursery() as nursery,
    ):
        account = await sign_up(daemon.addresses.http)
        headers = [(b"Authorization", b"Bearer " + account.access_token.encode())]
        connection = await connect_websocket_url(
            nursery, daemon.addresses.socket, subprotocols=["chatd.v1.json"], extra_headers=headers
        )
        conversation = (await writer.call("conversation.open", user=account.user))["conversation"]["id"]
        with trio.fail_after(6 * PATIENCE):
            while True:
                for _ in range(200):
                    await writer.send(conversation, "x" * 16_000)
                row = (await listed(config, account.user))[0]
                if row["queued_frames"]:
                    break
        assert row["queued_bytes"] > 16_000
        assert f"queued {row['queued_bytes']} bytes in" in sessions.line_of(row)
        await trio.aclose_forcefully(connection)
        nursery.cancel_scope.cancel()


# --- kick ---------------------------------------------------------------------------------------------------------


async def test_kick_reaches_any_node_and_is_audited_and_clients_reconnect(config: Config, moderator: Postgres) -> None:
    async with (
        nodes(config) as (one, two),
        one.person() as here,
        two.connected(here.account) as there,
        two.person() as other,
    ):
        done = await chatd(config, "sessions", "kick", there.hello["session"], "--reason", "stuck", "--json")
        assert [row["id"] for row in json.loads(done.stdout)["kicked"]] == [there.hello["session"]]
        closed = await there.ended()
        assert (closed.code, closed.reason) == (1001, "retry_in_ms=1000")
        assert await here.is_served()
        assert await kicked(config, user=here.user) == [here.hello["session"]]
        assert (await here.ended()).code == 1001
        assert await other.is_served()
        async with one.connected(here.account) as again:
            assert await again.is_served()
        second, first = await audit_log.page(moderator, "default")
        assert (first["act"], first["actor"], first["subject"]) == (
            "session.kick",
            getpass.getuser(),
            there.hello["session"],
        )
        assert first["details"] == {"users": [here.user], "sessions": [there.hello["session"]], "reason": "stuck"}
        assert (second["subject"], second["details"]["sessions"]) == (here.user, [here.hello["session"]])


async def test_kicked_client_reconnects(config: Config) -> None:
    async with running(config) as daemon, daemon.person() as friend:
        account = await sign_up(daemon.addresses.http)
        async with connect(daemon.addresses.socket, account) as client:
            conversation = (await client.open(friend.user)).conversation.id
            assert len(await kicked(config, user=account.user)) == 1
            await eventually(lambda: client.state != "connected")
            await eventually(lambda: client.state == "connected", 2 * PATIENCE)
            await client.send(conversation, "back")
            assert (await friend.event("message.new"))["message"]["text"] == "back"


async def test_absent_users_and_other_tenants_are_not_kicked(config: Config, moderator: Postgres) -> None:
    async with running(config) as daemon, daemon.person() as person:
        assert await kicked(config, user=NOBODY) == await kicked(config, session=NOBODY) == []
        done = await chatd(config, "sessions", "kick", person.hello["session"], "--tenant", "other")
        assert (done.returncode, "no such session" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
        assert "no node is running" not in done.stderr
        assert await person.is_served()
        assert await audit_log.page(moderator, "default") == []


@pytest.mark.parametrize(
    "arguments",
    [
        "sessions kick",
        "sessions kick x",
        f"sessions kick {NOBODY} --user {NOBODY}",
        "sessions kick --user ';drop'",
        "sessions list --user x",
        "sessions list --limit 0",
        "sessions list --limit 100000",
        "trace",
        "trace x",
        f"trace {NOBODY} --conversation x",
    ],
)
def test_invalid_arguments_are_refused(arguments: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Refused before a connection is opened."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, arguments.split()).exit_code == 2
    assert list(tmp_path.iterdir()) == []


# --- trace --------------------------------------------------------------------------------------------------------


async def test_message_is_traced_across_nodes(config: Config) -> None:
    async with nodes(config) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        async with two.connected(bob.account) as also_bob:
            first, second = await node_of(config, alice), await node_of(config, bob)
            before = now_ms()
            ack = await alice.send(conversation, "a secret text")
            await bob.event("message.new")
            await also_bob.event("message.new")
            await bob.call("receipt.delivered", conversation=conversation, seq=1)
            await alice.event("message.delivered")
            await also_bob.call("receipt.read", conversation=conversation, seq=1)
            await alice.event("message.read")
            after = now_ms()
            await alice.send(conversation, "another one")
            path = await followed(config, ack["message"])
            shown = await chatd(config, "trace", ack["message"], "--conversation", conversation)
        stages = {(stage["stage"], stage["node"]): stage for stage in path["stages"]}
        assert set(stages) == {
            ("accepted", first),
            ("committed", first),
            ("published", first),
            ("written", first),
            ("written", second),
        }
        assert all(before <= stage["at"] <= after for stage in stages.values())
        assert stages["accepted", first]["details"] == {"session": alice.hello["session"]}
        assert stages["committed", first]["details"] == {"batch": 1, "seq": 1, "rev": ack["rev"]}
        assert stages["written", second]["details"] == {"sessions": 2}
        (member,) = path["members"]
        assert (member["user"], member["delivered"], member["read"]) == (bob.user, True, True)
        assert before <= member["delivered_at"] <= member["read_at"] <= after
        assert path["reached"] == {"members": 1, "delivered": 1, "read": 1}
        assert (path["sender"], path["conversation"], path["seq"], path["silent"]) == (alice.user, conversation, 1, {})
        text = shown.stdout
        assert all(
            word in text for word in ("accepted", "committed", "published", "written", "delivered", "read", second)
        )
        assert "secret" not in text + json.dumps(path)


async def test_trace_over_rest_has_no_session_and_a_repeated_ack_is_the_same_message(config: Config) -> None:
    async with running(config) as daemon, daemon.pair() as (alice, _, conversation):
        body = {"client_id": "one", "text": "hello"}
        path = f"/v1/conversations/{conversation}/messages"
        answers = [await daemon.rest("POST", path, body, alice.account.access_token) for _ in range(2)]
        assert [answer.body["duplicate"] for answer in answers] == [False, True]
        found = await followed(config, answers[0].body["message"])
        stages = [stage["stage"] for stage in found["stages"]]
        assert sorted(stages) == ["accepted", "committed", "written"]
        assert found["stages"][0]["details"] == {"session": None}


async def test_a_trace_without_nodes_comes_from_postgres(config: Config) -> None:
    async with running(config) as daemon, daemon.pair() as (alice, bob, conversation):
        ack = await alice.send(conversation)
        await bob.call("receipt.delivered", conversation=conversation, seq=1)
    async with running(config):
        path = await followed(config, ack["message"])
        assert [(stage["stage"], stage.get("node", "")) for stage in path["stages"]] == [
            ("accepted", ""),
            ("committed", ""),
        ]
        assert path["stages"][1]["at"] == ack["created_at"]
        assert (path["members"][0]["delivered"], path["members"][0]["delivered_at"], path["members"][0]["read"]) == (
            True,
            None,
            False,
        )


async def test_unknown_messages_are_not_traced(config: Config) -> None:
    async with running(config) as daemon, daemon.pair() as (alice, _, conversation):
        ack = await alice.send(conversation)
        done = await chatd(config, "trace", ack["message"], "--tenant", "other")
        assert (done.returncode, "does not exist" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
        for conversation in (None, NOBODY):
            with pytest.raises((typer.Exit, BaseExceptionGroup)):
                await trace.follow(config, "default", ack["message"] if conversation else NOBODY, conversation)


# --- the path between nodes ---------------------------------------------------------------------------------------


async def haunt(redis: Redis) -> None:
    """A node that writes heartbeats, and answers no query."""
    for number in count(1):
        await write_as(redis, "ghost", number)
        await trio.sleep(0.5)


async def test_nodes_that_do_not_answer_are_named(config: Config) -> None:
    async with (
        running(config) as daemon,
        daemon.person(),
        open_redis(config.redis) as redis,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(haunt, redis)
        found = await sessions.find(config, "default", None, 10)
        assert (len(found.nodes), found.silent) == (1, {"ghost": "no answer within 2 seconds"})
        shown = await chatd(config, "sessions", "list")
        assert (shown.returncode, "node ghost: no answer" in shown.stderr) == (0, True)
        nursery.cancel_scope.cancel()


async def test_unread_answers_expire(config: Config) -> None:
    async with running(config), open_redis(config.redis) as redis:
        await announce(redis, "asker", control_messages.encode(AskHealth("the-list")))
        key = redis.key("answers", "the-list")
        with trio.fail_after(PATIENCE):
            while not await redis.call("LLEN", key):
                await trio.sleep(0.02)
        assert 0 < await redis.call("TTL", key) <= node_queries.LIST_TTL_S


async def test_many_simultaneous_queries_are_answered(config: Config) -> None:
    async with running(config) as daemon, daemon.person() as person, open_redis(config.redis) as redis:
        for number in range(200):
            await announce(
                redis,
                f"asker {number}",
                control_messages.encode(AskSessions("same", "default", None, None, 10**9)),
            )
        assert await person.is_served()
        # While the node still answers the others, a query may end unanswered; that must pass.
        await poll_until(lambda: cluster.query_nodes(redis, AskHealth, Health), lambda found: len(found.nodes) == 1)


async def test_an_answer_is_bounded(config: Config) -> None:
    def sessions(reply: str) -> AskSessions:
        return AskSessions(reply, "default", None, None, 10**9)

    few = partial(NodeQueries, max_sessions=2)
    async with running(config, querying(few)) as daemon, daemon.people(3), open_redis(config.redis) as redis:
        (received,) = (await cluster.query_nodes(redis, sessions, Sessions)).nodes.values()
        assert (received.answer.total, len(received.answer.sessions)) == (3, 2)
    short = partial(NodeQueries, max_answer_bytes=100)
    # Another cluster: the first node would be expected to answer.
    config = replace(config, redis=replace(config.redis, prefix=f"{config.redis.prefix}-short"))
    async with running(config, querying(short)) as daemon, daemon.people(3), open_redis(config.redis) as redis:
        found = await cluster.query_nodes(redis, sessions, Sessions)
        assert (found.nodes, list(found.silent.values())) == ({}, [node_queries.TOO_MUCH])


def querying(make: Callable[[Node], NodeQueries]) -> tuple[Subsystem, ...]:
    """The subsystems, with these limits of answers."""
    return altered(dataclasses.replace(OPERATIONS, open=partial(open_operations, make_queries=make)))


async def test_a_failing_query_does_not_stop_the_others(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    async with running(config) as daemon, daemon.person() as person, open_redis(config.redis) as redis:
        with monkeypatch.context() as patched:
            patched.setattr(node_queries.AskHealth, "answer", fail)
            assert len((await cluster.query_nodes(redis, AskHealth, Health)).silent) == 1
        assert len((await cluster.query_nodes(redis, AskHealth, Health)).nodes) == 1
        assert await person.is_served()


async def test_answer_of_another_version_is_not_accepted(config: Config) -> None:
    async with running(config), open_redis(config.redis) as redis:
        found = cluster.Answers[Health]({}, {"new": cluster.NO_ANSWER, "old": cluster.NO_ANSWER})
        cluster.store_answer(found, b'{"node":"new","answer":{"something":"else"}}', Health, 0)
        assert (found.nodes, found.silent["new"]) == ({}, "this version of chatd cannot read its answer")
        assert len(await recent(redis)) == 1


async def test_command_reports_missing_node_and_missing_redis(config: Config) -> None:
    done = await chatd(config, "sessions", "list")
    assert (done.returncode, "no node is running" in done.stderr) == (1, True)
    away = replace(config, redis=replace(config.redis, url="redis://127.0.0.1:1"))
    done = await chatd(away, "sessions", "kick", NOBODY)
    assert (done.returncode, "Redis is unreachable" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


async def test_a_kick_without_a_target_closes_nothing(config: Config) -> None:
    """Without a user or a session it is refused, and closes no connection."""
    async with running(config) as daemon, daemon.person() as person, open_redis(config.redis) as redis:
        found = await cluster.query_nodes(redis, lambda reply: AskKick(reply, "default", None, None), Sessions)
        assert [received.answer for received in found.nodes.values()] == [Sessions(0, [])]
        assert await person.is_served()
