"""A connection whose command takes longer than two heartbeats is kept while its client answers pings."""

import trio
from msgspec.structs import replace

from chatd.core.config import Config
from chatd.db.postgres import Postgres, Tx
from tests.support import PATIENCE, running

HEARTBEAT_S = 0.4
BUSY_S = 5 * HEARTBEAT_S
LOCK = "select from conversations where id = $1 for update"


async def test_a_busy_connection_is_kept(config: Config, store: Postgres) -> None:
    """The commands of one connection run one after the other, so that no pong is read while one of them waits."""
    config = replace(config, gateway=replace(config.gateway, heartbeat=HEARTBEAT_S))
    async with running(config) as daemon, daemon.pair() as (alice, bob, room), trio.open_nursery() as nursery:
        locked = trio.Event()

        async def hold(tx: Tx) -> None:
            await tx.run(LOCK, room)
            locked.set()
            await tx.run(f"select pg_sleep({BUSY_S})")

        nursery.start_soon(store.in_transaction, hold)
        with trio.fail_after(PATIENCE):
            await locked.wait()
        began = trio.current_time()
        for person in (alice, bob):
            nursery.start_soon(person.send, room)
        assert (await alice.event("message.new")).message.sender == bob.user
        assert trio.current_time() - began > 3 * HEARTBEAT_S
        for person in (alice, bob):
            assert await person.is_served()
            assert person.closed is None
