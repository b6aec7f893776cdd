"""The routes for probes and load balancers."""

import json
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from chatd import __version__
from chatd import daemon as daemon_module
from chatd.app.addresses import Addresses
from chatd.app.jobs import Job
from chatd.client import Refused, sign_up
from chatd.core.config import Config
from chatd.core.health import Health
from chatd.db import migrations
from chatd.db.embedded import redis as embedded_redis
from chatd.db.postgres import Postgres
from chatd.db.postgres_faults import Faults
from chatd.operations.health import MAX_AGE_S, Readiness
from chatd.privacy.erasure import erase_next
from chatd.realtime.drain import Drain
from chatd.wire.reference.openapi import openapi
from tests.cluster.test_bans import moderator
from tests.cluster.test_redis_trouble import run_command
from tests.golden.vectors import REGISTRY
from tests.http.raw import HttpPort
from tests.support import PATIENCE, Daemon, altered, poll_until, running

__all__ = ["moderator"]
# Connections keep the settings with which they began.
CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name like 'chatd %' and pid <> pg_backend_pid()
"""


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[embedded_redis.Server]:
    server = embedded_redis.Server(tmp_path / "redis", "+@all")
    await server.start()
    yield server
    await server.stop()


async def test_healthy_daemon_is_ready(daemon: Daemon) -> None:
    assert (await daemon.rest("GET", "/healthz")).body == {"status": "ok"}
    services = {name: {"status": "ready"} for name in ("postgres", "redis", "background", "gateway")}
    for path in ("/readyz", "/health"):
        answer = await daemon.rest("GET", path)
        assert (answer.status, answer.body) == (200, {"status": "ready", "services": services})


async def test_sessions_are_counted(daemon: Daemon) -> None:
    async with daemon.person(), daemon.person():
        answer = await daemon.rest("GET", "/v1/socket/ping")
        assert (answer.status, answer.body) == (200, {"live": True, "url": daemon.addresses.socket, "sessions": 2})


async def test_socket_url_is_reported(daemon: Daemon) -> None:
    welcome = (await daemon.rest("GET", "/")).body
    assert (welcome["chatd"], welcome["socket"]) == (__version__, daemon.addresses.socket)
    for path in (welcome["openapi"], welcome["health"]):
        assert (await daemon.rest("GET", path)).status == 200


async def test_openapi_is_served(daemon: Daemon) -> None:
    description = (await daemon.rest("GET", "/openapi.json")).body
    assert description == json.loads(json.dumps(openapi(REGISTRY.description, __version__, daemon.addresses.http)))


async def test_without_redis_it_is_degraded_and_takes_clients(config: Config, redis: embedded_redis.Server) -> None:
    async with running(replace(config, redis=replace(config.redis, url=redis.url))) as daemon:
        await until(daemon, "ready")
        await redis.stop()
        services = await until(daemon, "degraded")
        assert {name: service["status"] for name, service in services.items() if service["status"] != "ready"} == {
            "redis": "away"
        }
        assert (await daemon.rest("GET", "/healthz")).status == 200
        await redis.start()
        await until(daemon, "ready")


async def test_redis_that_refuses_commands_is_refusing(config: Config, redis: embedded_redis.Server) -> None:
    async with running(replace(config, redis=replace(config.redis, url=redis.url))) as daemon:
        await until(daemon, "ready")
        run_command(redis, "CONFIG SET maxmemory 1")
        assert (await until(daemon, "degraded"))["redis"] == {"status": "refusing"}
        run_command(redis, "CONFIG SET maxmemory 0")
        await until(daemon, "ready", 2 * PATIENCE)


async def test_postgres_without_writes_is_not_ready(config: Config, dsn: str, moderator: Postgres) -> None:
    name = dsn.partition("?")[0].rpartition("/")[2]
    async with running(config) as daemon, daemon.pair() as (alice, _, conversation):
        await moderator.run(f"alter database {name} set default_transaction_read_only = on")
        await moderator.run(CUT)
        await poll_until(
            lambda: until(daemon, "away"), lambda services: services["postgres"] == {"status": "read_only"}
        )
        assert (
            await alice.refused("message.send", conversation=conversation, client_id="a", text="a")
        ).code == "unavailable"
        await moderator.run(f"begin read write; alter database {name} reset default_transaction_read_only; commit")
        await moderator.run(CUT)
        await until(daemon, "ready", 2 * PATIENCE)
        assert (await alice.send(conversation)).seq == 1


async def test_a_background_service_that_fails_is_named(config: Config, moderator: Postgres) -> None:
    async with running(config, altered(Job("erasure", erase_next, 0.1))) as daemon:
        await moderator.run("alter table erasures rename column claimed_until to elsewhere")
        assert (await until(daemon, "degraded"))["background"] == {"status": "degraded", "failing": ["erasure"]}
        await moderator.run("alter table erasures rename column elsewhere to claimed_until")
        await until(daemon, "ready", 2 * PATIENCE)


PROBES = ("/readyz", "/health", "/healthz", "/v1/socket/ping")
NO_PROBES: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/v1/conversations", {}),
    ("POST", "/v1/auth/anonymous", {}),
    ("DELETE", "/v1/messages/1", {}),
    ("POST", "/readyz", {}),
    ("GET", "/metrics", {}),
    ("GET", "/admin", {}),
    ("GET", "/healthz/", {}),
    (
        "GET",
        "/v1/ws",
        {"Upgrade": "websocket", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
    ),
]


async def test_migrating_daemon_is_alive_but_not_ready(config: Config, moderator: Postgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    door = Daemon(config, Addresses("", f"http://127.0.0.1:{port}"))
    waiting = replace(config, http=replace(config.http, port=port))

    async def migrate_for_a_while(connection: Any) -> None:
        await connection.execute("select pg_advisory_lock($1)", migrations.LOCK)
        held.set()
        while not seen:
            await connection.execute("select pg_sleep(0.05)")
        await connection.execute("select pg_advisory_unlock($1)", migrations.LOCK)

    held, seen = trio.Event(), list[bool]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(moderator.run_on_connection, migrate_for_a_while, 3 * PATIENCE)
        await held.wait()
        nursery.start_soon(partial(daemon_module.run, waiting))
        # Until the node waits for the migration.
        await trio.sleep(0.5)
        probes = [await door.rest(method, path) for method in ("GET", "HEAD") for path in PROBES]
        others = [await door.rest(method, path, **headers) for method, path, headers in NO_PROBES]
        with pytest.raises(Refused) as refused:
            await sign_up(door.addresses.http, name="early")
        seen.append(True)
        assert [answer.status for answer in probes] == 2 * [503, 503, 200, 503]
        assert [answer.body for answer in probes[:4]] == [
            {"status": "starting"},
            {"status": "starting"},
            {"status": "ok"},
            {"live": False, "url": probes[3].body["url"], "sessions": 0},
        ]
        assert probes[3].body["url"].startswith("ws://127.0.0.1:")
        for answer in others:
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert {name: answer.body[name] for name in ("t", "code", "retryable", "retry_after")} == {
                "t": "error",
                "code": "unavailable",
                "retryable": True,
                "retry_after": 1,
            }
        assert (refused.value.code, refused.value.retry_after) == ("unavailable", 1)
        await until(door, "ready")
        nursery.cancel_scope.cancel()


async def until(daemon: Daemon, status: str, patience: float = PATIENCE) -> dict[str, dict[str, str]]:
    """The services, once the probe answers with this status; the code of the answer is that of the status."""
    answer = await poll_until(
        lambda: daemon.rest("GET", "/readyz"), lambda answer: answer.body["status"] == status, patience
    )
    assert answer.status == (200 if status in ("ready", "degraded") else 503)
    services: dict[str, dict[str, str]] = answer.body["services"]
    return services


async def test_probes_need_no_token_and_accept_only_get(daemon: Daemon) -> None:
    for path in ("/healthz", "/readyz", "/v1/socket/ping"):
        assert (await HttpPort.of(daemon).ask(f"POST {path} HTTP/1.1\nContent-Length: 0")).status == 405


class Counting:
    """A database that counts queries, and answers when the test allows it."""

    def __init__(self) -> None:
        self.asked = 0
        self.faults = Faults()
        self.failing = False
        self.well = trio.Event()

    async def value(self, statement: str) -> int:
        self.asked += 1
        await self.well.wait()
        return 1

    async def call(self, *command: str) -> str:
        await self.value("")
        return "PONG"


class Databases:
    """The parts of a node that the probes use."""

    def __init__(self) -> None:
        self.db, self.redis, self.health = Counting(), Counting(), Health()


async def test_simultaneous_probes_cause_one_check(autojump_clock: trio.testing.MockClock) -> None:
    node = Databases()
    readiness = Readiness(node, Drain(Config().drain))  # type: ignore[arg-type]
    node.db.well.set()
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(readiness.services)
    assert (node.db.asked, node.redis.asked) == (1, 1)
    assert {name: service.status for name, service in (await readiness.services()).items()} == {
        "postgres": "ready",
        "redis": "away",
        "background": "ready",
        "gateway": "ready",
    }
    node.redis.well.set()
    await trio.sleep(MAX_AGE_S)
    assert (await readiness.services())["redis"].status == "ready"
    assert (node.db.asked, node.redis.asked) == (2, 2)


async def test_draining_node_is_not_ready(autojump_clock: trio.testing.MockClock) -> None:
    node, drain = Databases(), Drain(Config().drain)
    node.db.well.set()
    node.redis.well.set()
    drain.begin()
    services = await Readiness(node, drain).services()  # type: ignore[arg-type]
    assert {name: service.status for name, service in services.items()} == {
        "postgres": "ready",
        "redis": "ready",
        "background": "ready",
        "gateway": "draining",
    }
