"""Postgres or Redis stops and returns: acknowledged messages are kept, none is duplicated, and no restart is needed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd.conversations.settings import MessageLogSettings
from chatd.core.config import Config, PostgresSection
from chatd.core.errors import Refused
from chatd.db.embedded import postgres as embedded_postgres
from chatd.db.embedded import redis as embedded_redis
from tests.prepared import prepare_postgres
from tests.reply import Reply
from tests.support import PATIENCE, Answer, Daemon, Person, running


@pytest.fixture
async def own(
    tmp_path: Path, config: Config
) -> AsyncIterator[tuple[Config, embedded_postgres.Server, embedded_redis.Server]]:
    """Servers for this test alone."""
    postgres = embedded_postgres.Server(tmp_path / "postgres", {})
    redis = embedded_redis.Server(tmp_path / "redis", "+@all")
    await prepare_postgres(postgres.folder)
    await postgres.start()
    await redis.start()
    try:
        yield (
            replace(
                config,
                postgres=PostgresSection(dsn=postgres.dsn, timeout=2.0),
                redis=replace(config.redis, url=redis.url),
            ).using(replace(config.get(MessageLogSettings), deadline=1.0)),
            postgres,
            redis,
        )
    finally:
        with trio.CancelScope(shield=True):
            await postgres.stop("immediate")
            await redis.stop()


async def sent_in_the_end(person: Person, conversation: str, client_id: str) -> tuple[int, int]:
    """Retry as a client does; return the seq, and the number of refusals."""
    refusals = 0
    with trio.fail_after(3 * PATIENCE):
        while True:
            try:
                return (await person.send(conversation, client_id, client_id=client_id)).seq, refusals
            except Refused as refused:
                assert refused.code in ("unavailable", "timeout")
                assert refused.row.retryable
                refusals += 1
                await trio.sleep(0.1)


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_postgres_outage_loses_no_acknowledged_message(
    own: tuple[Config, embedded_postgres.Server, embedded_redis.Server], mode: str
) -> None:
    config, postgres, _ = own
    async with running(config) as daemon, daemon.pair() as (alice, bob, conversation):
        seqs: list[int] = []
        refusals = 0

        async def write() -> None:
            nonlocal refusals
            for number in range(150):
                seq, refused = await sent_in_the_end(alice, conversation, f"m{number}")
                seqs.append(seq)
                refusals += refused

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            while len(seqs) < 40:
                await trio.sleep(0.005)
            await postgres.stop(mode)
            assert (await not_ready(daemon)).status == 503
            await trio.sleep(1.5)
            await postgres.start()
        assert seqs == list(range(1, 151))
        assert refusals > 0
        items = await all_messages(bob, conversation)
        assert [(message["seq"], message["client_id"]) for message in items] == [(n + 1, f"m{n}") for n in range(150)]
        check_live([event for kind, event in bob.log if kind == "event"])


def check_live(events: list[Reply]) -> None:
    """Strictly in order; a gap is preceded by `behind`."""
    last, may_jump = 0, False
    for event in events:
        if event["t"] == "behind":
            may_jump = True
        elif event["t"] == "message.new":
            seq = event["message"]["seq"]
            assert seq == last + 1 or (may_jump and seq > last)
            last, may_jump = seq, False
    assert last == 150


async def not_ready(daemon: Daemon) -> Answer:
    """Readiness reports it too, within a second."""
    with trio.fail_after(PATIENCE):
        while (answer := await daemon.rest("GET", "/readyz")).body["status"] == "ready":
            await trio.sleep(0.1)
    assert (await daemon.rest("GET", "/healthz")).status == 200
    return answer


async def all_messages(person: Person, conversation: str) -> list[dict[str, object]]:
    items: list[dict[str, object]] = []
    more = True
    while more:
        after = items[-1]["seq"] if items else 0
        page = await person.call("message.history", conversation=conversation, after=after, limit=200)
        items += page["items"]
        more = page["more"]
    return items


async def test_all_connections_of_postgres_are_cut_at_once(
    own: tuple[Config, embedded_postgres.Server, embedded_redis.Server],
) -> None:
    config, _, _ = own
    async with running(config) as daemon, daemon.pair() as (alice, bob, conversation):
        for number in range(60):
            if number % 20 == 10:
                await cut(config.postgres.dsn)
            seq, _ = await sent_in_the_end(alice, conversation, f"m{number}")
            assert seq == number + 1
        assert len(await all_messages(bob, conversation)) == 60


async def cut(dsn: str) -> None:
    """What an administrator, or a proxy, may do at any time."""
    tool = embedded_postgres.binaries() / "psql"
    statement = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'"
    await trio.run_process([str(tool), "-c", statement, dsn], capture_stdout=True, cwd="/")


async def test_redis_outage_loses_no_acknowledged_message(
    own: tuple[Config, embedded_postgres.Server, embedded_redis.Server],
) -> None:
    config, _, redis = own
    async with running(config) as daemon, daemon.pair() as (alice, bob, conversation):
        await redis.stop()
        answer = await not_ready(daemon)
        assert (answer.body["services"]["redis"]["status"], answer.body["services"]["postgres"]["status"]) == (
            "away",
            "ready",
        )
        assert (await alice.send(conversation)).seq == 1
        await bob.event("message.new")
        async with daemon.person() as carol:
            assert await carol.is_served()
        await redis.start()
        with trio.fail_after(PATIENCE):
            while (await daemon.rest("GET", "/readyz")).body["status"] != "ready":
                await trio.sleep(0.1)


async def test_command_without_postgres_is_refused_and_the_session_continues(
    own: tuple[Config, embedded_postgres.Server, embedded_redis.Server],
) -> None:
    """No SQL, no traceback, and a retryable code."""
    config, postgres, _ = own
    async with running(config) as daemon, daemon.pair() as (alice, _, conversation):
        await postgres.stop("immediate")
        for command, fields in (
            ("conversation.list", {}),
            ("message.history", {"conversation": conversation}),
            ("receipt.read", {"conversation": conversation, "seq": 0}),
            ("session.sync", {}),
        ):
            refused = await alice.refused(command, **fields)
            assert (refused.code, refused.row.retryable) == ("unavailable", True)
            assert "select" not in refused.message
        assert await alice.is_served()
        answer = await daemon.rest("POST", "/v1/auth/anonymous", {})
        assert (answer.status, answer.body["code"], "retry-after" in answer.headers) == (503, "unavailable", True)
        await postgres.start()
