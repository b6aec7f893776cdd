"""A slow Postgres: each connection gets events in the order of `rev`, and no command outlives its deadline."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count, pairwise
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio_websocket import ConnectionRejected

from chatd.client import Account, Refused, sign_up
from chatd.conversations.settings import MessageLogSettings
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from tests.faults.proxy import BadLine, line_to_postgres
from tests.support import PATIENCE, Daemon, Person, restarted, running

NUMBERS = count(1)
# Longer than the statements of a start take on a busy machine.
DEADLINE_S = 2.0


@asynccontextmanager
async def slow_nodes(
    config: Config, nodes: int, deadline_s: float = DEADLINE_S
) -> AsyncIterator[tuple[list[Daemon], list[BadLine]]]:
    """Nodes with a line to Postgres each, and short deadlines."""
    async with AsyncExitStack() as stack:
        daemons, lines = [], []
        for _ in range(nodes):
            line, dsn = await stack.enter_async_context(line_to_postgres(config.postgres.dsn))
            own = replace(
                config,
                postgres=replace(config.postgres, dsn=dsn, timeout=deadline_s),
            ).using(replace(config.get(MessageLogSettings), deadline=deadline_s))
            daemons.append(await stack.enter_async_context(running(own)))
            lines.append(line)
        yield daemons, lines


async def write(person: Person, conversation: str, over: trio.Event) -> None:
    """Send endlessly, and retry refused messages as a client does."""
    while not over.is_set():
        client_id = f"w{next(NUMBERS)}"
        while not over.is_set():
            try:
                await person.send(conversation, client_id, client_id=client_id)
                break
            except Refused as refused:
                assert refused.row.retryable, refused
                await trio.sleep(0.05)


def revs_of(person: Person) -> list[tuple[str, int]]:
    """The revs in the order of delivery. The ack of a duplicate repeats its first rev."""
    found = []
    for _, body in person.log:
        if (
            body["t"] == "message.new"
            or body["t"] == "behind"
            or (body["t"] == "message.ack" and not body["duplicate"])
        ):
            found.append((body["t"], body["rev"]))
    return found


def check_order(people: list[Person]) -> None:
    for person in people:
        found = revs_of(person)
        for (_, before), (kind, rev) in pairwise(found):
            assert rev > before, (kind, found)


async def crowd(config: Config, count: int) -> tuple[list[Account], str]:
    """Users and their group, made on a node without short deadlines, which a busy machine exceeds."""
    async with running(restarted(config)) as patient, patient.person("p") as owner:
        others = [await sign_up(patient.addresses.http, name="p") for _ in range(count - 1)]
        made = await owner.call("conversation.create", members=[account.user for account in others])
        return [owner.account, *others], made["conversation"]["id"]


async def connected_in_the_end(stack: AsyncExitStack, daemon: Daemon, account: Account) -> Person:
    """Retry as a client does."""
    ends_at = trio.current_time() + PATIENCE
    while True:
        try:
            return await stack.enter_async_context(daemon.connected(account, "msgpack"))
        except ExceptionGroup as failed:
            _, others = failed.split(ConnectionRejected)
            if others is not None or trio.current_time() > ends_at:
                raise
            await trio.sleep(0.1)


@asynccontextmanager
async def locked(store: Postgres, sql: str, *args: Any) -> AsyncIterator[None]:
    """Hold the locks of the statement as long as the block lasts."""
    done, held = trio.Event(), trio.Event()

    async def hold(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute(sql, *args)
            held.set()
            while not done.is_set():
                await connection.execute("select pg_sleep(0.02)")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run_on_connection, hold, 30)
        await held.wait()
        try:
            yield
        finally:
            done.set()


async def hold_messages(store: Postgres, seconds: float) -> None:
    async def work(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute("lock table messages")
            await connection.execute("select pg_sleep($1)", seconds)

    await store.run_on_connection(work, seconds + 5)


async def trouble(lines: list[BadLine], store: Postgres, rng: random.Random) -> None:
    """Late answers, lost answers and a locked table, in any order."""
    for _ in range(4):
        line = rng.choice(lines)
        match rng.choice(["late", "lost", "locked"]):
            case "late":
                line.up.latency, line.down.latency = rng.choice([(0.4, 0.0), (0.0, 0.4), (0.25, 0.25), (0.05, 0.7)])
                await trio.sleep(0.7)
                line.up.latency = line.down.latency = 0.0
            case "lost":
                line.down.timeout = True
                await trio.sleep(0.1)
                line.heal()
            case "locked":
                # Current writers may not release it in time.
                with suppress(Refused):
                    await hold_messages(store, DEADLINE_S + 0.3)
        await trio.sleep(rng.random() / 2)


@pytest.mark.parametrize("seed", [0, 1])
async def test_revs_stay_in_order_while_the_table_is_locked_and_connections_are_slow(
    config: Config, store: Postgres, seed: int
) -> None:
    rng = random.Random(seed)
    accounts, conversation = await crowd(config, 9)
    async with slow_nodes(config, 3) as (daemons, lines), AsyncExitStack() as stack:
        people = [await connected_in_the_end(stack, *one) for one in zip(daemons * 3, accounts, strict=True)]
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            for person in people:
                nursery.start_soon(write, person, conversation, over)
            with trio.fail_after(3 * PATIENCE):
                await trouble(lines, store, rng)
                while not any(kind == "behind" for person in people for kind, _ in revs_of(person)):
                    await trouble(lines, store, rng)
            over.set()
        check_order(people)


LOCK_ROW = "select 1 from conversations where id = $1 for update"


async def test_a_locked_conversation_does_not_hold_up_the_others(config: Config, store: Postgres) -> None:
    config = config.using(replace(config.get(MessageLogSettings), deadline=2.0))
    async with (
        running(config) as daemon,
        daemon.person("a") as alice,
        daemon.person("b") as bob,
        daemon.person("c") as carol,
    ):
        created = [await alice.call("conversation.create", members=[bob.user]) for _ in range(9)]
        stuck, *others = [one["conversation"]["id"] for one in created]
        async with locked(store, LOCK_ROW, stuck), trio.open_nursery() as nursery:
            nursery.start_soon(check_refused_at_the_deadline, bob, stuck, 2.0)
            # In one batch with the locked one, then while it is set aside.
            for round_ in range(4):
                for conversation in others:
                    await alice.send(conversation, f"{round_}")
                    await alice.call("receipt.read", conversation=conversation, seq=round_ + 1)
            assert carol.closed is None
        with trio.fail_after(PATIENCE):
            assert await sent(bob, stuck, "after")
        history = await alice.call("message.history", conversation=stuck)
        assert sorted(message["client_id"] for message in history["items"]) in (["after"], ["after", "stuck"])


async def sent(person: Person, conversation: str, client_id: str) -> bool:
    while True:
        try:
            await person.send(conversation, client_id, client_id=client_id)
            return True
        except Refused as refused:
            assert refused.row.retryable
            await trio.sleep(0.05)


async def check_refused_at_the_deadline(person: Person, conversation: str, deadline: float) -> None:
    began = trio.current_time()
    refused = await person.refused("message.send", conversation=conversation, client_id="stuck", text="stuck")
    assert refused.code == "unavailable"
    assert deadline - 0.1 <= trio.current_time() - began < 5 * deadline


async def test_every_command_is_answered_at_the_deadline_when_postgres_is_silent(config: Config) -> None:
    """A single statement has three seconds; a command of several statements has no more."""
    async with slow_nodes(config, 1, 3.0) as ((daemon,), (line,)), daemon.person() as alice, daemon.person() as bob:
        made = await alice.call("conversation.open", user=bob.user)
        conversation = made["conversation"]["id"]
        first = await alice.send(conversation, "first")
        line.down.timeout = True
        send = {"conversation": conversation, "text": "x"}
        for number, (command, fields) in enumerate(
            [
                ("message.send", send),
                ("message.send", {**send, "reply_to": first["message"]}),
                ("message.edit", {"conversation": conversation, "message": first["message"], "text": "y"}),
                ("session.sync", {}),
                ("conversation.list", {}),
            ]
        ):
            began = trio.current_time()
            more = {"client_id": f"late{number}"} if command == "message.send" else {}
            refused = await alice.refused(command, **fields, **more)
            assert refused.row.retryable, command
            assert trio.current_time() - began < 10, command
