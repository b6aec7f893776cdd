"""What probes and load balancers are told."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd import __version__
from chatd.config import Config
from chatd.http.health import FRESH, Readiness
from chatd.node.drain import Drain
from chatd.store import embedded_redis
from chatd.wire.openapi import openapi
from tests.golden.vectors import REGISTRY
from tests.http.raw import Door
from tests.support import PATIENCE, Daemon, running


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[embedded_redis.Server]:
    server = embedded_redis.Server(tmp_path / "redis", "+@all")
    await server.start()
    yield server
    await server.stop()


async def test_a_daemon_that_is_well(daemon: Daemon) -> None:
    assert (await daemon.rest("GET", "/healthz")).body == {"status": "ok"}
    services = {name: {"status": "ready"} for name in ("postgres", "redis", "gateway")}
    for path in ("/readyz", "/health"):
        answer = await daemon.rest("GET", path)
        assert (answer.status, answer.body) == (200, {"status": "ready", "services": services})


async def test_the_sockets_are_counted(daemon: Daemon) -> None:
    async with daemon.person(), daemon.person():
        answer = await daemon.rest("GET", "/v1/socket/ping")
        assert (answer.status, answer.body) == (200, {"live": True, "url": daemon.addresses.socket, "sessions": 2})


async def test_the_way_is_shown(daemon: Daemon) -> None:
    welcome = (await daemon.rest("GET", "/")).body
    assert (welcome["chatd"], welcome["socket"]) == (__version__, daemon.addresses.socket)
    for path in (welcome["openapi"], welcome["health"]):
        assert (await daemon.rest("GET", path)).status == 200


async def test_it_describes_itself(daemon: Daemon) -> None:
    description = (await daemon.rest("GET", "/openapi.json")).body
    assert description == json.loads(json.dumps(openapi(REGISTRY.commands.values(), __version__)))


async def test_it_says_which_service_is_away_and_recovers(config: Config, redis: embedded_redis.Server) -> None:
    async with running(replace(config, redis=replace(config.redis, url=redis.url))) as daemon:
        assert (await daemon.rest("GET", "/readyz")).status == 200
        await redis.stop()
        away = await until(daemon, 503)
        assert away == {"postgres": {"status": "ready"}, "redis": {"status": "away"}, "gateway": {"status": "ready"}}
        assert (await daemon.rest("GET", "/healthz")).status == 200
        await redis.start()
        assert (await until(daemon, 200))["redis"] == {"status": "ready"}


async def until(daemon: Daemon, status: int) -> dict[str, dict[str, str]]:
    """The services, once the probe answers like this."""
    with trio.fail_after(PATIENCE):
        while (answer := await daemon.rest("GET", "/readyz")).status != status:
            await trio.sleep(0.05)
    services: dict[str, dict[str, str]] = answer.body["services"]
    return services


async def test_probes_need_no_token_and_take_no_other_method(daemon: Daemon) -> None:
    for path in ("/healthz", "/readyz", "/v1/socket/ping"):
        assert (await Door.of(daemon).ask(f"POST {path} HTTP/1.1\nContent-Length: 0")).status == 405


class Counting:
    """A database that counts how often it is asked, and answers when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.well = trio.Event()

    async def value(self, statement: str) -> int:
        self.asked += 1
        await self.well.wait()
        return 1

    async def call(self, *command: str) -> str:
        await self.value("")
        return "PONG"


class Databases:
    """As much of a node as is asked for."""

    def __init__(self) -> None:
        self.db, self.redis = Counting(), Counting()


async def test_many_who_ask_are_one_question(autojump_clock: trio.testing.MockClock) -> None:
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
        "gateway": "ready",
    }
    node.redis.well.set()
    await trio.sleep(FRESH)
    assert (await readiness.services())["redis"].status == "ready"
    assert (node.db.asked, node.redis.asked) == (2, 2)


async def test_who_drains_is_not_ready(autojump_clock: trio.testing.MockClock) -> None:
    node, drain = Databases(), Drain(Config().drain)
    node.db.well.set()
    node.redis.well.set()
    drain.begin()
    services = await Readiness(node, drain).services()  # type: ignore[arg-type]
    assert {name: service.status for name, service in services.items()} == {
        "postgres": "ready",
        "redis": "ready",
        "gateway": "draining",
    }
