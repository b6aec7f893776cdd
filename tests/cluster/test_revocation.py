"""The time from the commit of a ban to the last closed connection, on every node, as the nodes measure it."""

import trio
from msgspec.structs import replace

from chatd.accounts import bans
from chatd.cli.strikes import strike_user
from chatd.cluster import control_messages
from chatd.cluster.stream_entries import announce
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.embedded import redis as embedded_redis
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.moderation.settings import ModerationSettings
from tests.cluster.test_bans import moderator
from tests.cluster.test_two_nodes import nodes, own_redis
from tests.operations.test_metrics import one, scrape
from tests.support import PATIENCE, Daemon, Person, operator, running

__all__ = ["moderator", "own_redis"]


async def measured(daemon: Daemon) -> float:
    """Seconds of the one revocation that this node has completed."""
    with trio.fail_after(PATIENCE):
        while True:
            found = await scrape(daemon)
            if found[one("chatd_revocation_seconds_count")]:
                assert found[one("chatd_revocation_seconds_count")] == 1
                return found[one("chatd_revocation_seconds_sum")]
            await trio.sleep(0.05)


async def test_every_node_measures_how_long_a_ban_took(config: Config, moderator: Postgres) -> None:
    async with (
        nodes(config, 4) as four,
        four[0].person() as first,
        four[1].connected(first.account) as second,
        four[2].connected(first.account, "msgpack") as third,
        four[3].connected(first.account) as fourth,
        four[3].person() as other,
    ):
        people: list[Person] = [first, second, third, fourth]
        ban = await bans.ban_user(moderator, operator(), first.user, "spam", None)
        committed = now_ms()
        async with open_redis(config.redis) as redis:
            order = control_messages.CloseUserSessions("default", first.user, "banned", None, committed)
            await announce(redis, ban, control_messages.encode(order))
        assert [(await person.ended()).code for person in people] == [4403] * 4
        seconds = [await measured(node) for node in four]
        print("I15, seconds from the commit to the last socket closed, by node:", seconds)
        assert all(0 <= one_of < PATIENCE for one_of in seconds)
        assert await other.is_served()
        assert (await scrape(four[3]))[one("chatd_session_closes_total", reason="banned")] == 1


async def test_a_ban_by_a_strike_of_the_command_line_is_measured_too(config: Config) -> None:
    strict = config.using(replace(config.get(ModerationSettings), strikes=["1:1d"]))
    async with running(strict) as daemon, daemon.person() as person:
        assert (await strike_user(strict, "default", person.user, "spam")).ban is not None
        assert (await person.ended()).code == 4403
        assert await measured(daemon) < PATIENCE


async def test_a_logout_everywhere_is_measured_on_both_nodes(config: Config) -> None:
    async with nodes(config) as (here, there), here.person() as one_, there.connected(one_.account) as two:
        await one_.call("auth.logout", everywhere=True)
        await two.ended()
        assert [await measured(node) < PATIENCE for node in (here, there)] == [True, True]


async def test_a_ban_that_was_found_in_postgres_is_measured_too(
    config: Config, moderator: Postgres, own_redis: embedded_redis.Server
) -> None:
    shared = replace(config, redis=replace(config.redis, url=own_redis.url))
    async with running(shared) as daemon, daemon.person() as person:
        await own_redis.stop()
        await bans.ban_user(moderator, operator(), person.user, "spam", None)
        assert (await person.ended(12.0)).code == 4403
        seconds = await measured(daemon)
        print("I15 without Redis, seconds:", seconds)
        assert 0 < seconds < 12
