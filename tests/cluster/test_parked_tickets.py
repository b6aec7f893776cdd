"""Parked tickets that only the event log of the pool contains: returning users keep their waiting time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from chatd.core.config import Config
from chatd.matching.settings import MatchSettings
from tests.cluster.test_disconnects import killable
from tests.cluster.test_strangers import own_the_pool
from tests.support import Daemon, Person, running

LOST = MatchSettings(relax=0.3, grace=3.0)


@pytest.fixture
def lost(config: Config) -> Config:
    return config.using(LOST)


@asynccontextmanager
async def starts_again(config: Config) -> AsyncIterator[tuple[Daemon, Person]]:
    """The only node dies and starts again, and a waiting user reconnects at once."""
    async with trio.open_nursery() as nursery:
        first, scope = await nursery.start(killable, config)
        async with first.person("eve") as eve:
            await own_the_pool(first)
            await eve.call("match.find", queue="lounge")
            await trio.sleep(0.3)
            scope.cancel()
            await eve.ended()
        async with running(config) as again, again.connected(eve.account) as back:
            await own_the_pool(again)
            yield again, back


async def test_parked_ticket_can_be_cancelled(lost: Config) -> None:
    async with starts_again(lost) as (_, eve):
        assert (await eve.call("match.status"))["waiting"] == 1
        await eve.call("match.cancel")
        assert (await eve.refused("match.status")).code == "not_found"


async def test_a_user_who_disconnects_again_is_not_matched(lost: Config) -> None:
    async with starts_again(lost) as (again, eve), again.person("sam") as sam, again.person("tom") as tom:
        await trio.sleep(LOST.grace + 0.3)
        await trio.aclose_forcefully(eve.connection)
        await trio.sleep(0.3)
        await sam.call("match.find", queue="lounge")
        await tom.call("match.find", queue="lounge")
        await sam.found(tom)
