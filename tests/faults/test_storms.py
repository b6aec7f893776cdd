"""Many clients at once: all reconnect at the same moment, and hundreds disconnect during their command."""

import random
from contextlib import AsyncExitStack
from uuid import uuid4

import msgspec
import trio
from msgspec.structs import replace

from chatd.client.backoff import Backoff
from chatd.conversations.settings import MessageLogSettings
from chatd.core.config import Config, PostgresSection
from chatd.db.postgres import Postgres, open_postgres
from tests.support import PATIENCE, Daemon, Person, running
from tests.wire_client import Raw, upgrade

# Twice as many as are admitted in one second.
CLIENTS = 200
DISCONNECTS = 400
TALKERS = 10
Count = dict[str, int]


async def test_simultaneous_reconnects_succeed(config: Config) -> None:
    """Clients are admitted at the permitted rate and retry when the server requests it; others are not affected.
    See bench/storm.py.
    """
    limits = replace(config.limits, accepts_per_second=100, connections_per_address=1000, pending_per_address=1000)
    async with running(replace(config, limits=limits)) as daemon, daemon.pair() as (alice, bob, conversation):
        users = [str(uuid4()) for _ in range(CLIENTS)]
        refused: list[float] = []
        for _ in range(2):
            async with AsyncExitStack() as line:
                with trio.fail_after(3 * PATIENCE):
                    await all_back(daemon, users, line, refused, (alice, bob, conversation))
        assert refused
        assert alice.closed is None
        assert bob.closed is None


async def all_back(
    daemon: Daemon, users: list[str], line: AsyncExitStack, refused: list[float], canary: tuple[Person, Person, str]
) -> None:
    """Wait until all are back and have synced; two others send messages to each other meanwhile."""
    async with trio.open_nursery() as nursery:
        over = trio.Event()
        nursery.start_soon(write_all_the_while, *canary, over)
        async with trio.open_nursery() as visitors:
            for user in users:
                visitors.start_soon(come_back, daemon, user, line, refused)
        over.set()


async def write_all_the_while(alice: Person, bob: Person, conversation: str, over: trio.Event) -> None:
    while not over.is_set():
        ack = await alice.send(conversation)
        assert (await bob.event("message.new"))["message"]["seq"] == ack["seq"]
        await trio.sleep(0.01)


async def come_back(daemon: Daemon, user: str, line: AsyncExitStack, refused: list[float]) -> None:
    backoff = Backoff(random.random)
    while True:
        attempt = AsyncExitStack()
        raw = await attempt.enter_async_context(Raw.to(daemon))
        await raw.send(upgrade(daemon, user=user))
        head = await raw.read(b"\r\n\r\n")
        if b" 101 " in head:
            await line.enter_async_context(attempt)
            await raw.frame()
            await raw.send(Raw.frame_of(b'[1,{"t":"session.sync"}]'))
            assert b"session.state" in (await raw.frame())[1]
            return
        await attempt.aclose()
        assert head.startswith(b"HTTP/1.1 503 ")
        asked = float(head.partition(b"Retry-After: ")[2].partition(b"\r\n")[0])
        refused.append(asked)
        await trio.sleep(backoff.next_wait(trio.current_time(), asked))


async def test_disconnects_during_commands_affect_no_others(config: Config) -> None:
    """No reply reaches another client, no connection of the pool leaks, nothing stays open in Postgres."""
    limits = replace(
        config.limits,
        accepts_per_second=100_000,
        accepts_per_address=100_000,
        connections_per_address=1000,
        pending_per_address=1000,
    )
    generous = replace(config, limits=limits, postgres=replace(config.postgres, pool=4, timeout=3 * PATIENCE))
    async with (
        running(generous) as daemon,
        daemon.people(TALKERS) as people,
        open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        rooms = {
            person.user: (await person.call("conversation.create", members=[])).conversation.id for person in people
        }
        before = await daemon_connections(db)
        async with trio.open_nursery() as nursery:
            for person in people:
                nursery.start_soon(disconnect_repeatedly, daemon, person, rooms[person.user], DISCONNECTS // TALKERS)
            for person in people:
                nursery.start_soon(ask_all_the_while, person, rooms[person.user], DISCONNECTS // TALKERS)
        for person in people:
            await check_own_words(person, rooms[person.user])
        with trio.fail_after(PATIENCE):
            while (now := await daemon_connections(db)).get("idle in transaction", 0) or now.get("active", 0):
                await trio.sleep(0.05)
        # Those of the pool, one of each flusher, and the one of the search index.
        assert sum(now.values()) <= max(
            sum(before.values()), generous.postgres.pool + MessageLogSettings().flushers + 1
        )
        # As many at once as the pool has: all of them exist.
        async with trio.open_nursery() as nursery:
            for person in people:
                nursery.start_soon(check_own_words, person, rooms[person.user])


async def daemon_connections(db: Postgres) -> Count:
    """Connections of this database by state, except the one that asks."""
    rows = await db.all(
        "select coalesce(state, '') as state, count(*) as n from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid() group by 1"
    )
    return {row["state"]: row["n"] for row in rows}


async def disconnect_repeatedly(daemon: Daemon, person: Person, room: str, times: int) -> None:
    """Run a command that needs the database on a separate connection, and disconnect 0 to 30 ms later."""
    for number in range(times):
        async with Raw.to(daemon) as raw:
            await raw.send(upgrade(daemon, user=person.user))
            body = {
                "t": "message.send",
                "conversation": room,
                "client_id": f"{room}-{number}",
                "text": f"of {person.user}",
            }
            asks = [body, {"t": "message.history", "conversation": room}, {"t": "session.sync"}]
            await raw.send(b"".join(Raw.frame_of(msgspec.json.encode([at + 1, ask])) for at, ask in enumerate(asks)))
            await trio.sleep(random.random() * 0.03)
            await trio.aclose_forcefully(raw.stream)


async def ask_all_the_while(person: Person, room: str, times: int) -> None:
    """On a connection that stays: every answer belongs to its own command."""
    for _ in range(times // 5):
        await check_own_words(person, room)
        await trio.sleep(0.01)


async def check_own_words(person: Person, room: str) -> None:
    history = await person.call("message.history", conversation=room, limit=200)
    assert {(item["sender"], item["text"]) for item in history["items"]} <= {(person.user, f"of {person.user}")}
    seqs = [item["seq"] for item in history["items"]]
    assert seqs == list(range(1, len(seqs) + 1))
    listed = await person.call("conversation.list")
    assert [item["id"] for item in listed["items"]] == [room]
