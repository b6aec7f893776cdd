"""chatd doctor, on systems with real faults."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from msgspec.structs import replace

from chatd import __version__
from chatd.accounts.settings import AuthSettings
from chatd.app.checks import Finding
from chatd.cli import doctor, doctor_nodes, doctor_postgres, doctor_redis
from chatd.cli.cluster import Answers, NodeAnswer
from chatd.cli.doctor_nodes import Clock
from chatd.cluster import control_messages
from chatd.cluster.stream_entries import DECODE, pairs
from chatd.core.clock import now_ms
from chatd.core.config import ClusterTimes, Config
from chatd.core.settings import Loaded
from chatd.db.embedded import redis as embedded_redis
from chatd.db.postgres import Connection, Postgres, UniqueViolation
from chatd.db.redis import Redis, open_redis
from chatd.operations.node_queries import AskHealth, put_answer
from chatd.operations.node_query_types import Health
from chatd.subsystems import schemas_of, setting_names
from tests.cluster.test_bans import moderator
from tests.cluster.test_operating import chatd, write_as
from tests.cluster.test_two_nodes import nodes, own_redis
from tests.support import PATIENCE, poll_until, running

__all__ = ["moderator", "own_redis"]

WELL = Health(
    version=__version__, at=0, process=1, sessions=0, users=0, owns_pool=False, event_log_stale=False, bus_waiting=0, bus_gaps=0,
    bus_gap_at=0, message_log_waiting=0, message_log_failures=0, descriptors=10, most_descriptors=1000, maintenance=False,
)  # fmt: skip


async def findings_of(config: Config) -> list[Finding]:
    return await doctor.examine(Loaded(config, setting_names(), {}, None))


async def wrong_in(config: Config) -> dict[str, Finding]:
    """Failed findings, by code. The disk of the test machine is ignored."""
    return {
        finding.code: finding
        for finding in await findings_of(config)
        if not finding.ok and finding.code != "machine.disk"
    }


async def found_in_the_end(config: Config, code: str) -> Finding:
    return (await poll_until(lambda: wrong_in(config), lambda wrong: code in wrong, 3 * PATIENCE))[code]


async def only_found(config: Config, *codes: str) -> dict[str, Finding]:
    """Nothing else fails after the start has completed."""
    return await poll_until(lambda: wrong_in(config), lambda wrong: set(wrong) == set(codes), 3 * PATIENCE)


@pytest.fixture
async def redis(config: Config) -> AsyncIterator[Redis]:
    async with open_redis(config.redis) as opened:
        yield opened


async def test_doctor_passes_on_a_healthy_system(config: Config) -> None:
    async with nodes(config), nodes(config, 1):
        await only_found(config)
        findings = await findings_of(config)
        assert all(finding.code and finding.detail for finding in findings)
        assert {"nodes.silent", "match.owner", "clocks.skew", "postgres.indexes", "redis.policy", "bus.gaps"} <= {
            finding.code for finding in findings
        }
        done = await chatd(config, "doctor", "--json")
        shown = json.loads(done.stdout)
        assert (done.returncode, {line["code"] for line in shown}) == (0, {finding.code for finding in findings}), shown


async def test_doctor_reports_that_no_node_runs(config: Config) -> None:
    done = await chatd(config, "doctor")
    assert (done.returncode, "no node is running" in done.stdout, "-> start one" in done.stdout) == (1, True, True)
    assert "Traceback" not in done.stderr


async def test_unreachable_databases_hide_only_their_own_findings(config: Config) -> None:
    async with running(config):
        away = replace(config.postgres, dsn="postgresql://u@127.0.0.1:1/x")
        wrong = await only_found(replace(config, postgres=away), "postgres.server")
        wrong |= await only_found(
            replace(config, redis=replace(config.redis, url="redis://127.0.0.1:1")), "redis.server"
        )
        assert all(finding.fix for finding in wrong.values())


async def test_short_secret_and_unsafe_durability_are_found(config: Config) -> None:
    weak = config.using(replace(config.get(AuthSettings), secret="short"))
    safe = replace(weak, postgres=replace(config.postgres, allow_unsafe_durability=False))
    assert {"settings.keys", "postgres.durability"} <= set(await wrong_in(safe))


# --- Postgres -----------------------------------------------------------------------------------------------------


async def test_missing_and_invalid_indexes_are_found(config: Config, moderator: Postgres) -> None:
    async with running(config) as daemon, daemon.pair():
        await moderator.run("drop index messages_rev")
        with pytest.raises(UniqueViolation):
            await moderator.run("create unique index concurrently only_one on users (tenant)")
        found = [
            finding
            for finding in await findings_of(config)
            if not finding.ok and finding.code.startswith("postgres.index")
        ]
        missing, invalid = found
        assert (missing.code, missing.detail) == ("postgres.index.missing", "messages_rev is missing")
        assert (invalid.code, invalid.detail) == ("postgres.index.invalid", "only_one is invalid and not used")
        await moderator.run(missing.fix.removeprefix("run: "))
        await moderator.run("drop index only_one")
        await only_found(config)


async def test_indexes_of_all_migrations_are_expected(db: Postgres) -> None:
    """The statement that doctor suggests creates the same index."""
    definition = "select indexdef from pg_indexes where schemaname = current_schema() and indexname = $1"
    wanted = doctor_postgres.expected(one for schema in schemas_of() for one in schema.migrations())
    assert {"messages_rev", "messages_id", "match_members_active"} <= set(wanted)
    for name, statement in wanted.items():
        before = await db.value(definition, name)
        await db.run(f"drop index {name}")
        await db.run(statement)
        assert await db.value(definition, name) == before


async def test_long_transaction_is_found(config: Config, moderator: Postgres) -> None:
    async with trio.open_nursery() as nursery:

        async def forget() -> None:
            await moderator.run_on_connection(idle)

        async def look() -> Finding:
            findings = await doctor_postgres.examine(moderator, config, 1, max_idle_s=0.2)
            return next(finding for finding in findings if finding.code == "postgres.transactions")

        nursery.start_soon(forget)
        finding = await poll_until(look, lambda finding: not finding.ok)
        assert "idle in transaction" in finding.detail
        assert "secret" not in finding.detail
        nursery.cancel_scope.cancel()


async def idle(connection: Any) -> None:
    """In asyncio: a transaction that is idle until it is cancelled."""
    await connection.execute("begin; select 'a secret text'")
    await connection.fetchval("select 1")
    await asyncio.get_running_loop().create_future()


async def test_table_without_vacuum_is_found(config: Config, moderator: Postgres) -> None:
    dead = doctor_postgres.MAX_DEAD_ROWS + 1
    async with running(config):
        await moderator.run("alter table messages set (autovacuum_enabled = off)")
        assert "autovacuum is off for messages" in (await wrong_in(config))["postgres.vacuum"].detail
        await moderator.run("alter table messages reset (autovacuum_enabled)")
        await moderator.run("alter table revoked_tokens set (autovacuum_enabled = off)")
        await moderator.run(
            "insert into revoked_tokens select 'default', n::text, 0 from generate_series(1, $1::int) n", dead
        )
        await moderator.run("delete from revoked_tokens")
        # It stays off, or the table could be vacuumed before the rows are counted.
        counted = f"revoked_tokens has {dead} dead rows and 0 live ones, and was never vacuumed"
        await poll_until(lambda: wrong_in(config), lambda wrong: counted in wrong["postgres.vacuum"].detail)


async def test_too_few_connections_for_the_nodes_are_found(config: Config) -> None:
    async with running(config):
        greedy = replace(config, postgres=replace(config.postgres, pool=500))
        assert "1 nodes may need 505" in (await wrong_in(greedy))["postgres.connections"].detail
    assert not doctor_postgres.judge_connections(95, 100, 10, 1).ok


async def test_connections_of_a_node_are_counted(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    dedicated, connection = list[str](), Postgres.connection

    def counted(db: Postgres, name: str, *arguments: Any) -> Connection:
        dedicated.append(name)
        return connection(db, name, *arguments)

    monkeypatch.setattr(Postgres, "connection", counted)
    async with running(config):
        # The pool is bounded, and the checks close theirs.
        lasting = [name for name in dedicated if name not in ("pool", "check", "statistics")]
    assert config.postgres.pool + len(lasting) == doctor_postgres.connections_of_node(config)


# --- Redis --------------------------------------------------------------------------------------------------------


async def test_evicting_redis_is_found(config: Config, own_redis: embedded_redis.Server) -> None:
    shared = replace(config, redis=replace(config.redis, url=own_redis.url))
    async with running(shared), open_redis(shared.redis) as redis:
        await only_found(shared)
        await redis.call("CONFIG", "SET", "maxmemory", "4mb")
        await redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        await only_found(shared, "redis.policy")
        for number in range(1000):
            await redis.call("SET", f"filler {number}", "x" * 10_000)
        wrong = await wrong_in(shared)
        assert {"redis.policy", "redis.memory", "redis.evictions"} <= set(wrong)
        assert all(finding.fix for finding in wrong.values())


def test_redis_that_cannot_save_is_found() -> None:
    finding = doctor_redis.judge_persistence({"rdb_last_bgsave_status": "err", "aof_enabled": 1})
    assert (finding.ok, finding.code, finding.detail) == (False, "redis.persistence", "rdb_last_bgsave_status")
    assert doctor_redis.judge_persistence({"aof_last_write_status": "ok"}).ok


# --- nodes --------------------------------------------------------------------------------------------------------


async def test_hanging_node_is_found(config: Config, redis: Redis) -> None:
    """It wrote a moment ago and does not answer, even after it has stopped writing."""
    quick = replace(config, cluster=ClusterTimes(heartbeat=0.2))
    async with running(quick):
        await write_as(redis, "ghost")
        await trio.sleep(1.3 * quick.cluster.silence_s)
        assert (await wrong_in(quick))["nodes.silent"].detail == "ghost: no answer within 2 seconds"


Change = Callable[[Health], None]


async def pretend(redis: Redis, change: Change) -> None:
    """A node with the answers of another version on another machine."""
    last = b"$"
    await write_as(redis, "stranger")
    number = 1
    while True:
        for id_, fields in pairs(
            await redis.call("XRANGE", redis.key("bus"), b"(" + last if last != b"$" else b"-", "+")
        ):
            last = id_
            for order in DECODE(fields[b"b"]).messages:
                question = control_messages.decoder().decode(order)
                if isinstance(question, AskHealth):
                    health = msgspec.structs.replace(WELL, at=now_ms())
                    change(health)
                    await put_answer(redis, question.reply, "stranger", health)
        number += 1
        await write_as(redis, "stranger", number)
        await trio.sleep(0.05)


@pytest.mark.parametrize(
    ("code", "detail", "change"),
    [
        ("nodes.versions", "0.0.1", lambda health: setattr(health, "version", "0.0.1")),
        ("clocks.skew", "stranger is", lambda health: setattr(health, "at", health.at + 60_000)),
        ("clocks.skew", "ahead of stranger", lambda health: setattr(health, "at", health.at - 60_000)),
        ("match.owner", "own the pool at the same time", lambda health: setattr(health, "owns_pool", True)),
        ("bus.behind", "5000 control messages waiting", lambda health: setattr(health, "bus_waiting", 5000)),
        ("nodes.files", "999 of 1000", lambda health: setattr(health, "descriptors", 999)),
        ("message_log.behind", "9000 wait", lambda health: setattr(health, "message_log_waiting", 9000)),
        ("match.event_log", "stale", lambda health: setattr(health, "event_log_stale", True)),
    ],
)
async def test_node_that_differs_is_found(config: Config, redis: Redis, code: str, detail: str, change: Change) -> None:
    async with running(config), trio.open_nursery() as nursery:
        nursery.start_soon(pretend, redis, change)
        finding = await found_in_the_end(config, code)
        assert detail in finding.detail
        assert finding.fix
        nursery.cancel_scope.cancel()


async def test_gap_of_the_bus_is_found(config: Config, redis: Redis) -> None:
    async with running(config):
        await write_as(redis, "other", 1)
        await write_as(redis, "other", 5)
        finding = await found_in_the_end(config, "bus.gaps")
        assert finding.detail.startswith("1 since the start of the node, the last one ")


async def test_match_pool_with_a_dead_owner_is_found(config: Config, redis: Redis) -> None:
    async with running(config):
        await redis.call("SET", redis.key("lease", "match"), "somebody", "PX", 60_000)
        finding = await found_in_the_end(config, "match.owner")
        assert finding.detail == "its owner somebody is not running"


async def test_new_owner_writes_its_event_log_at_once(config: Config) -> None:
    """Otherwise the event log of an idle pool would count as stale."""
    async with running(config):
        await poll_until(lambda: wrong_in(config), lambda wrong: not {"match.event_log", "match.owner"} & set(wrong))


# --- judgements ---------------------------------------------------------------------------------------------------


def test_clock_skew_excludes_the_round_trip_time() -> None:
    assert [Clock(at, 100, 200).offset for at in (90, 100, 150, 200, 230)] == [-10, 0, 0, 0, 30]
    assert doctor_nodes.judge_clocks({"a": Clock(0, 900, 950), "b": Clock(1050, 900, 950)}).ok
    assert not doctor_nodes.judge_clocks({"a": Clock(0, 900, 950), "b": Clock(1051, 900, 950)}).ok


def test_gap_is_reported_for_a_limited_time() -> None:
    health = msgspec.structs.replace(WELL, bus_gaps=3, bus_gap_at=1000)
    assert [
        next(reversed([*doctor_nodes.judge_bus("n", health, now)])).ok for now in (2000, 1000 + doctor_nodes.RECENT_MS)
    ] == [
        False,
        True,
    ]


def test_silent_owner_still_owns_the_pool() -> None:
    found = Answers({"n": NodeAnswer(WELL, 0, 0)}, {"owner": "no answer"})
    by_code = {finding.code: finding for finding in doctor_nodes.judge(found, "owner", {}, 0)}
    assert (by_code["match.owner"].ok, by_code["nodes.silent"].ok) == (True, False)
    assert not doctor_nodes.judge_pool({"n": WELL}, None, set()).ok


def test_full_disk_is_found(tmp_path: Path) -> None:
    assert [doctor.judge_disk("f", free, 10**12).ok for free in (10**9, 4 * 10**10, 6 * 10**10)] == [False, False, True]
    assert len(doctor.disk(tmp_path)) == 1
    assert doctor.disk(tmp_path / "none") == []
