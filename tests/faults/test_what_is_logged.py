"""The log during failures: each change of state once, with the cause."""

import getpass
import logging
from collections.abc import Callable

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock
from trio_websocket import HandshakeError, open_websocket_url

from chatd.app import audit_log
from chatd.cli.maintenance import start_drain
from chatd.client import Refused
from chatd.core.config import Config
from chatd.core.health import MAX_VALUES, Sparse
from chatd.db.embedded import postgres as embedded_postgres
from chatd.db.embedded import redis as embedded_redis
from chatd.db.embedded.account import account_for
from chatd.db.postgres import Postgres
from tests.admins import ANN, done
from tests.admins import daemon as administered
from tests.cluster.test_bans import moderator
from tests.cluster.test_redis_trouble import run_command
from tests.faults.test_databases import own
from tests.support import PATIENCE, Daemon, running

__all__ = ["administered", "moderator", "own"]
Own = tuple[Config, embedded_postgres.Server, embedded_redis.Server]
Logged = Callable[[int], list[tuple[str, str]]]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    """Message and cause of the lines so far, of this level and above."""
    caplog.set_level(logging.DEBUG, "chatd")

    def lines(level: int) -> list[tuple[str, str]]:
        records = [record for record in caplog.records if record.levelno >= level and record.name.startswith("chatd")]
        return [(record.getMessage(), str(getattr(record, "cause", ""))) for record in records]

    return lines


def logged_once(logged: Logged) -> list[tuple[str, str]]:
    """The warnings, none of which is repeated; without that of the bus, which depends on Redis."""
    lines = logged(logging.WARNING)
    messages = [message for message, _ in lines]
    assert len(messages) == len(set(messages)), messages
    return [line for line in lines if line[0] != "cluster bus failed"]


async def until_logged(logged: Logged, message: str) -> None:
    with trio.fail_after(3 * PATIENCE):
        while message not in [line for line, _ in logged(logging.INFO)]:
            await trio.sleep(0.05)


async def test_redis_outage_is_logged_once(own: Own, logged: Logged) -> None:
    config, _, redis = own
    async with running(config) as daemon, daemon.pair() as (alice, _, conversation):
        await redis.stop()
        await until_logged(logged, "Redis connection failed")
        for _ in range(20):
            await alice.send(conversation)
            await trio.sleep(0.1)
        await redis.start()
        await until_logged(logged, "Redis connection recovered")
    ((message, cause),) = logged_once(logged)
    assert (message, bool(cause)) == ("Redis connection failed", True)


async def test_redis_out_of_memory_is_logged_once(own: Own, logged: Logged) -> None:
    config, _, redis = own
    async with running(config):
        run_command(redis, "CONFIG SET maxmemory 1")
        await until_logged(logged, "Redis commands failed")
        await trio.sleep(1)
        run_command(redis, "CONFIG SET maxmemory 0")
        await until_logged(logged, "Redis commands recovered")
    ((message, cause),) = logged_once(logged)
    assert (message, "command not allowed" in cause) == ("Redis commands failed", True)


async def test_unreachable_redis_at_start_is_reported_in_one_line(config: Config, logged: Logged) -> None:
    wrong = replace(config, redis=replace(config.redis, url="redis://127.0.0.1:1"))
    async with running(wrong) as daemon, daemon.pair() as (alice, _, conversation):
        await alice.send(conversation)
    ((message, cause),) = logged_once(logged)
    assert message == "Redis connection failed"
    assert "127.0.0.1:1" in cause


async def test_postgres_outage_is_logged_once(own: Own, logged: Logged) -> None:
    config, postgres, _ = own
    async with running(config) as daemon, daemon.pair() as (alice, _, conversation):
        await postgres.stop("immediate")
        for number in range(3):
            refused = await alice.refused("message.send", conversation=conversation, client_id=f"c{number}", text="x")
            assert refused.message == "the database is unreachable"
        await postgres.start()
        await until_logged(logged, "Postgres connection recovered")
        await alice.send(conversation)
    ((message, cause),) = logged_once(logged)
    assert (message, bool(cause)) == ("Postgres connection failed", True)


async def test_read_only_postgres_is_logged_separately(own: Own, logged: Logged) -> None:
    """The log says that commits fail, and clients do not get the message that the database is unavailable."""
    config, postgres, _ = own
    await postgres.stop()
    grants = (
        "grant alter system on parameter default_transaction_read_only to chatd",
        "grant execute on function pg_reload_conf() to chatd",
    )
    await postgres._administer(postgres.folder, account_for(postgres.folder), grants, embedded_postgres.DATABASE)
    await postgres.start()
    async with running(config) as daemon, daemon.pair() as (alice, _, conversation):
        await run(postgres, "alter system set default_transaction_read_only = on; select pg_reload_conf()")
        with trio.fail_after(PATIENCE):
            while (refused := await send(alice, conversation)) is None:
                await trio.sleep(0.05)
        for _ in range(3):
            refused = await send(alice, conversation)
            assert refused is not None
            assert refused.message == "the database is read-only"
        assert (await daemon.rest("GET", "/readyz")).body["services"]["postgres"] == {"status": "read_only"}
        await run(postgres, "alter system reset default_transaction_read_only; select pg_reload_conf()")
        await until_logged(logged, "Postgres writes recovered")
        assert await send(alice, conversation) is None
    ((message, cause),) = logged_once(logged)
    assert (message, "read-only transaction" in cause) == ("Postgres writes failed", True)


async def send(person: object, conversation: str) -> Refused | None:
    try:
        await person.send(conversation)  # type: ignore[attr-defined]
    except Refused as refused:
        return refused
    return None


async def run(postgres: embedded_postgres.Server, statements: str) -> None:
    psql = [str(embedded_postgres.binaries() / "psql")]
    for statement in statements.split("; "):
        await trio.run_process([*psql, "-c", statement, postgres.dsn], capture_stdout=True, cwd="/")


async def test_acts_of_users_admins_and_operators_are_logged(
    administered: Daemon, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = administered
    with pytest.raises(HandshakeError):
        async with open_websocket_url(daemon.addresses.socket, extra_headers=[(b"Origin", b"https://evil.test")]):
            pass
    async with (
        daemon.person() as banned,
        daemon.person() as kicked,
        daemon.person() as leaver,
        daemon.person() as other,
    ):
        await banned.refused("conversation.get", conversation=other.user)
        await done(daemon, "ban", user=banned.user, reason="spam")
        await done(daemon, "kick", user=kicked.user)
        await daemon.rest("POST", "/v1/auth/logout", {}, leaver.account.access_token)
        for person in (banned, kicked, leaver):
            await person.ended()
    records = [
        record for record in caplog.records if record.levelno >= logging.INFO and record.name.startswith("chatd")
    ]
    fields = [vars(record) for record in records]
    assert "https://evil.test" in [one.get("origin") for one in fields]
    closed = {(one["close"], one["user"]) for one in fields if "close" in one}
    assert {("banned", banned.user), ("going_away", kicked.user), ("logged_out", leaver.user)} <= closed
    quiet = {line for line, _ in logged(logging.DEBUG)} - {line for line, _ in logged(logging.INFO)}
    assert {"connected", "closed", "refused", "a handshake was rejected"} <= quiet


async def test_drain_logs_its_cause_and_end(administered: Daemon, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert (await administered.rest("POST", "/admin/drain", {"over": 0}, ANN)).status == 200
    with trio.fail_after(2 * PATIENCE):
        while "drained" not in [record.getMessage() for record in caplog.records]:
            await trio.sleep(0.05)
    operators = {record.getMessage(): vars(record).get("by") for record in caplog.records}
    assert operators["draining; a second signal stops at once"] == operators["drained"] == "ann"


async def test_a_drain_from_the_command_line_is_in_the_log_and_in_the_audit_log(
    config: Config, moderator: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chatd")
    async with running(config):
        await start_drain(config, "", 0.0)
        with trio.fail_after(2 * PATIENCE):
            while "drained" not in [record.getMessage() for record in caplog.records]:
                await trio.sleep(0.05)
    (line,) = await audit_log.page(moderator, "default")
    assert (line["act"], line["actor"], line["subject"], line["details"]) == (
        "nodes.drain", getpass.getuser(), "all nodes", {"over": 0.0},
    )  # fmt: skip
    assert {vars(record).get("by") for record in caplog.records} == {None, getpass.getuser()}


async def test_log_entries_caused_by_peers_are_bounded(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sparse = Sparse(logging.getLogger("chatd.test"), "origin")
    for number in range(100):
        sparse.log("refused", "https://a.test")
        await trio.sleep(1)
        sparse.log("refused", f"https://{number % 5}.test")
    lines = [(vars(record)["origin"], vars(record)["times_since"]) for record in caplog.records]
    assert [count for origin, count in lines if origin == "https://a.test"] == [0, 59]
    assert len(lines) == 2 + 2 * 5
    for number in range(3 * MAX_VALUES):
        sparse.log("refused", str(number))
    assert len(sparse._seen) == MAX_VALUES
