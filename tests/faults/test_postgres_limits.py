"""Postgres runs but does not serve: no free connection, a locked table. Commands are refused, nothing is lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from chatd.core.config import Config, PostgresSection
from chatd.core.errors import Refused
from chatd.db.embedded import postgres, redis
from chatd.db.postgres import Connection, Postgres, open_postgres
from tests.faults.test_databases import all_messages, own, sent_in_the_end
from tests.faults.test_slow_postgres import locked
from tests.support import PATIENCE, Daemon, Person, running

__all__ = ["own"]
Own = tuple[Config, postgres.Server, redis.Server]
FOR_NOW = ("unavailable", "timeout")
CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where backend_type = 'client backend' and application_name <> 'chatd taker'
"""


@asynccontextmanager
async def no_connection_is_free(dsn: str) -> AsyncIterator[None]:
    """All connections are taken, those of the daemon too."""
    async with open_postgres(dsn, PostgresSection(timeout=PATIENCE)) as door:
        taken = [door.connection("taker")]
        await taken[0].all("select 1")
        try:
            with trio.fail_after(6 * PATIENCE):
                await take_all(door, taken)
                while await taken[0].all(CUT):
                    await take_all(door, taken)
            yield
        finally:
            for connection in taken:
                connection.close()


async def take_all(door: Postgres, taken: list[Connection]) -> None:
    """Take connections until none is left."""
    with suppress(Refused):
        while True:
            taken.append(door.connection("taker"))
            await taken[-1].all("select 1")


async def check_refused_for_now(alice: Person, conversation: str) -> None:
    for command, fields in (
        ("message.send", {"conversation": conversation, "client_id": "refused", "text": "refused"}),
        ("conversation.create", {"members": [alice.user]}),
    ):
        refused = await alice.refused(command, **fields)
        assert refused.code in FOR_NOW
        assert refused.row.retryable
    assert await alice.is_served()


async def check_recovered(daemon: Daemon, alice: Person, bob: Person, conversation: str) -> None:
    """Refused messages may be sent again and exist once, and new users can connect."""
    before = [message["client_id"] for message in await all_messages(bob, conversation)]
    seq, _ = await sent_in_the_end(alice, conversation, "refused")
    await sent_in_the_end(alice, conversation, "after")
    found = [message["client_id"] for message in await all_messages(bob, conversation)]
    assert found == ["before", "refused", "after"]
    assert seq == 2
    assert before in (["before"], ["before", "refused"])
    async with daemon.person() as late:
        assert await late.is_served()


async def test_postgres_without_free_connections_is_handled(own: Own) -> None:
    config, _, _ = own
    async with running(config) as daemon, daemon.pair() as (alice, bob, conversation):
        await sent_in_the_end(alice, conversation, "before")
        async with no_connection_is_free(config.postgres.dsn):
            await check_refused_for_now(alice, conversation)
        await check_recovered(daemon, alice, bob, conversation)


async def test_temporarily_locked_message_table_is_handled(own: Own) -> None:
    config, _, _ = own
    async with running(config) as daemon, daemon.pair() as (alice, bob, conversation):
        await sent_in_the_end(alice, conversation, "before")
        async with (
            open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as other,
            locked(other, "lock table messages"),
        ):
            refused = await alice.refused(
                "message.send", conversation=conversation, client_id="refused", text="refused"
            )
            assert refused.code in FOR_NOW
            assert await alice.is_served()
        await check_recovered(daemon, alice, bob, conversation)
