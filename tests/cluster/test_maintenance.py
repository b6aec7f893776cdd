"""Maintenance mode and drain on all running nodes."""

import pytest
import trio

from chatd.app.maintenance import MaintenanceChanged, change
from chatd.client import connect, sign_up
from chatd.cluster import control_messages
from chatd.cluster.control_messages import ControlMessage
from chatd.cluster.stream_entries import announce
from chatd.core.config import Config
from chatd.core.health import Health
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.matching.service import MatchingService
from chatd.realtime.drain import NodeLeaving
from tests.cluster.test_bans import moderator
from tests.cluster.test_two_nodes import nodes
from tests.support import NOBODY, PATIENCE, eventually, operator

__all__ = ["moderator"]


async def order(config: Config, what: ControlMessage, name: str) -> None:
    async with open_redis(config.redis) as redis:
        await announce(redis, name, control_messages.encode(what))


async def test_maintenance_is_announced_and_pauses_matching(config: Config, moderator: Postgres) -> None:
    async with nodes(config) as (one, two), one.person() as ann, two.person() as ben:
        await change(moderator, operator(), True, "back at noon", 60.0)
        await order(config, MaintenanceChanged(), "first")
        for person in (ann, ben):
            notice = await person.event("maintenance.mode")
            assert (notice["enabled"], notice["message"], notice["retry_after"]) == (True, "back at noon", 60.0)
        refused = await ann.refused("match.find")
        assert (refused.code, refused.row.retryable, refused.retry_after) == ("maintenance", True, 60.0)
        conversation = (await ann.call("conversation.open", user=ben.user))["conversation"]["id"]
        await ann.send(conversation, "messages arrive")
        await ben.event("message.new")
        async with two.person() as late:
            assert late.hello["maintenance"] is True
        await change(moderator, operator(), False, "", None)
        await order(config, MaintenanceChanged(), "second")
        assert (await ben.event("maintenance.mode"))["enabled"] is False
        await ann.event("maintenance.mode")
        for person in (ann, ben):
            await person.call("match.find")
        await ann.event("match.found")


async def test_a_node_that_starts_under_maintenance_knows_it(config: Config, moderator: Postgres) -> None:
    await change(moderator, operator(), True, "", None)
    async with nodes(config, 1) as (one,), one.person() as ann:
        assert ann.hello["maintenance"] is True
        assert (await ann.refused("match.find")).code == "maintenance"


async def test_a_node_that_starts_under_maintenance_makes_no_pairs(
    config: Config, moderator: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool is paused before it starts, not at the first periodic check."""
    paused, run = list[bool](), MatchingService.run

    async def noted(self: MatchingService, health: Health | None = None) -> None:
        paused.append(self.pool._is_paused)
        await run(self, health)

    monkeypatch.setattr(MatchingService, "run", noted)
    for enabled in (True, False):
        await change(moderator, operator(), enabled, "", None)
        async with nodes(config, 1):
            await eventually(lambda: paused)
            assert paused.pop() is enabled


async def test_drain_command_drains_all_nodes_and_loses_nothing(config: Config) -> None:
    async with nodes(config) as (one, two):
        account, other = await sign_up(one.addresses.http), await sign_up(two.addresses.http)
        async with two.connected(other) as listener, connect(one.addresses.socket, account) as client:
            conversation = (await client.open(other.user)).conversation.id
            await client.send(conversation, "before")
            await order(config, control_messages.StartDrain(NOBODY, 1.0), "not meant")
            await client.send(conversation, "still here")
            await order(config, control_messages.StartDrain("", 2.0), "meant")
            assert (await listener.event("maintenance.mode"))["enabled"] is True
            closed = await listener.ended()
            assert closed.code == 1001
            assert 0 <= int(closed.reason.removeprefix("retry_in_ms=")) <= 2000
            await eventually(lambda: client.state == "waiting")


async def test_readiness_fails_before_a_leaving_node_does_anything_else(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pool takes seconds to hand over if Redis is slow; no client is admitted in that time."""
    handing_over, done = trio.Event(), trio.Event()

    async def leave(self: MatchingService, _: NodeLeaving) -> None:
        handing_over.set()
        await done.wait()

    monkeypatch.setattr(MatchingService, "_on_stop", leave)
    async with nodes(config, 1) as (node,):
        assert (await node.rest("GET", "/readyz")).status == 200
        await order(config, control_messages.StartDrain("", 0.0), "leave")
        with trio.fail_after(PATIENCE):
            await handing_over.wait()
        answer = await node.rest("GET", "/readyz")
        assert (answer.status, answer.body["services"]["gateway"]) == (503, {"status": "draining"})
        done.set()
