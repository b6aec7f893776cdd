"""Redis fails over while connections to the old primary stay open: events between nodes resume."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config
from chatd.db.embedded import redis
from tests.cluster.soak.proxy import Proxy, proxy_to
from tests.cluster.test_redis_trouble import run_command, send_until_it_is_live
from tests.cluster.test_silent_nodes import comes_to_know
from tests.cluster.test_two_nodes import pair_on
from tests.support import PATIENCE, running


@dataclass
class Replicas:
    """Two servers, proxies between them, and a proxy to the primary for each node. Open connections stay."""

    old: redis.Server
    new: redis.Server
    to_old: Proxy
    to_new: Proxy
    ways: list[Proxy]

    def follow(self, server: redis.Server, port: str) -> None:
        assert run_command(server, f"REPLICAOF {port}").startswith(b"+OK")

    def promote(self) -> None:
        self.follow(self.new, "NO ONE")

    def lead_to_new(self, *ways: Proxy) -> None:
        """Lead new connections to the new primary; open connections stay."""
        for way in ways:
            way._target = self.new.socket


@asynccontextmanager
async def open_replicas(folder: Path) -> AsyncIterator[Replicas]:
    """A replica need not wait for others that could share its first copy, as it does for five seconds by default."""
    old, new = (redis.Server(folder / name, "+@all") for name in ("old", "new"))
    async with AsyncExitStack() as stack:
        for server in (old, new):
            await server.start()
            assert run_command(server, "CONFIG SET repl-diskless-sync-delay 0").startswith(b"+OK")
            stack.push_async_callback(server.stop)
        to_old, to_new, *ways = [await stack.enter_async_context(proxy_to(one.socket)) for one in (old, new, old, old)]
        replicas = Replicas(old, new, to_old, to_new, ways)
        replicas.follow(new, f"127.0.0.1 {to_old.port}")
        with trio.fail_after(PATIENCE):
            while b"master_link_status:up" not in run_command(new, "INFO replication"):
                await trio.sleep(0.05)
        yield replicas


def demoted(servers: Replicas) -> None:
    """As a sentinel does it: the old primary follows the new one."""
    servers.promote()
    servers.follow(servers.old, f"127.0.0.1 {servers.to_new.port}")
    servers.lead_to_new(*servers.ways)


def demoted_alone(servers: Replicas) -> None:
    """The old primary refuses writes, and is not connected to the new one."""
    servers.promote()
    servers.follow(servers.old, "127.0.0.1 1")
    servers.lead_to_new(*servers.ways)


def split(servers: Replicas) -> None:
    """The old primary accepts writes; only the second of two nodes is led to the new one, and cut from the old."""
    servers.promote()
    servers.lead_to_new(*servers.ways)
    run_command(servers.old, "CLIENT KILL TYPE normal")
    servers.ways[0]._target = servers.old.socket


@pytest.mark.parametrize("fail_over", [demoted, demoted_alone, split], ids=lambda one: str(one.__name__))
async def test_nodes_reconnect_after_a_redis_failover(
    config: Config, tmp_path: Path, fail_over: Callable[[Replicas], None]
) -> None:
    async with open_replicas(tmp_path / "redis") as servers:
        one, two = (
            replace(config, redis=replace(config.redis, url=f"redis://127.0.0.1:{way.port}")) for way in servers.ways
        )
        async with (
            running(one) as first,
            running(two) as second,
            pair_on(first, second) as (alice, bob, conversation),
        ):
            await send_until_it_is_live(alice, bob, conversation)
            fail_over(servers)
            for number in range(2):
                for sender, receiver in ((alice, bob), (bob, alice)):
                    ack = await sender.send(conversation, str(number))
                    await comes_to_know(receiver, conversation, ack["rev"])
            servers.lead_to_new(*servers.ways)
            await send_until_it_is_live(alice, bob, conversation)
            await send_until_it_is_live(bob, alice, conversation)
