"""A user who overloads the database leaves the others their share of it."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from chatd.core.config import Config, PostgresSection
from chatd.core.errors import Refused
from chatd.core.rate_limit import TokenBucket
from chatd.db.fair_share import MAX_WAITING, Account, FairShare, charge_to
from chatd.db.postgres import Postgres, open_postgres
from tests.faults.test_slow_postgres import locked
from tests.support import Person, poll_until, running

LOCK_SETTINGS = "select 1 from user_settings where user_id = $1 for update"


async def test_slow_statements_of_one_user_do_not_exhaust_the_pool(config: Config, store: Postgres) -> None:
    config = replace(config, postgres=replace(config.postgres, pool=4, timeout=8.0))
    async with running(config) as daemon, daemon.pair() as (alice, bob, conversation), AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(daemon.connected(alice.account)) for _ in range(12)]
        answers: list[bool] = []
        await alice.call("user.settings", notify="all")
        async with trio.open_nursery() as nursery, locked(store, LOCK_SETTINGS, alice.user):
            for device in devices:
                nursery.start_soon(set_settings, device, answers)
            # Her statements wait for the lock.
            await poll_until(lambda: waiting(store))
            # All of it while her statements hold what they can get.
            assert await bob.call("conversation.list")
            await bob.send(conversation)
            async with daemon.person() as stranger:
                assert await stranger.is_served()
            assert not answers
        assert len(answers) == 12


async def waiting(db: Postgres) -> int:
    """Statements that wait for a lock."""
    sql = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    return int(await db.value(sql))


async def set_settings(device: Person, answers: list[bool]) -> None:
    """Waits for the lock; those in the queue may be refused for now."""
    try:
        await device.call("user.settings", notify="none")
        answers.append(True)
    except Refused as refused:
        assert refused.row.retryable
        answers.append(False)


async def test_connections_are_limited_per_user_and_in_total() -> None:
    share = FairShare(PostgresSection(pool=6, user_connections=2, reserved=2))
    alice, bob, carol = Account("t", "alice"), Account("t", "bob"), Account("t", "carol")
    for account in (alice, alice, bob, bob):
        await share.acquire(account)
    for account in (alice, bob, carol):
        with trio.move_on_after(0.01) as scope:
            await share.acquire(account)
        assert scope.cancelled_caught
    share.release(alice)
    await share.acquire(carol)
    for account in (alice, bob, bob, carol):
        share.release(account)
    assert share._slots == {}


async def unanswered(connection: Any) -> None:
    """In asyncio: what waits for an answer that does not arrive, until it is cancelled."""
    await asyncio.get_running_loop().create_future()


async def test_waiting_for_the_own_limit_is_not_a_postgres_failure(dsn: str, loop: None) -> None:
    """The user may retry, and neither the log nor the probes report that Postgres is slow."""
    settings = PostgresSection(pool=2, user_connections=1, reserved=1, timeout=1.0)
    async with open_postgres(dsn, settings) as db, trio.open_nursery() as nursery:

        async def hold(connection: Any) -> None:
            began.set()
            await unanswered(connection)

        async def hold_as_alice() -> None:
            charge_to("t", "alice")
            await db.run_on_connection(hold, 60)

        async def refused(user: str) -> str:
            charge_to("t", user)
            with pytest.raises(Refused) as caught:
                await db.value("select 1")
            return caught.value.code

        began = trio.Event()
        nursery.start_soon(hold_as_alice)
        await began.wait()
        assert [await refused("alice"), await refused("bob")] == ["rate_limited", "unavailable"]
        assert not db.faults.open
        nursery.cancel_scope.cancel()


async def test_unanswered_statement_is_a_postgres_failure(dsn: str, loop: None) -> None:
    async with open_postgres(dsn, PostgresSection(timeout=0.5)) as db:
        charge_to("t", "alice")
        with pytest.raises(Refused, match="timeout"):
            await db.run_on_connection(unanswered)
        assert db.faults.open


async def test_user_with_too_many_waiting_statements_is_refused() -> None:
    share = FairShare(PostgresSection(pool=2, user_connections=1, reserved=1))
    alice = Account("t", "alice")
    await share.acquire(alice)
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_WAITING):
            nursery.start_soon(share.acquire, alice)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Refused, match="rate_limited"):
            await share.acquire(alice)
        nursery.cancel_scope.cancel()
    share.release(alice)
    assert share._slots == {}


def test_used_tokens_become_a_bounded_debt() -> None:
    bucket = TokenBucket(10, 20)
    bucket.charge(0.0, 25)
    assert bucket.take(0.0, 1) == pytest.approx(0.6)
    bucket.charge(0.0, 1000)
    assert bucket.take(0.0, 1) == pytest.approx(2.1)
    assert bucket.take(2.2, 1) == 0.0
