"""One message of each member within a number of seconds, on all nodes and under concurrency."""

from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
import trio

from chatd.client import Refused
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from tests.cluster.test_two_nodes import nodes
from tests.support import NOBODY, Daemon, Person


async def group(creator: Person, *others: Person, seconds: int = 0) -> str:
    """A group of the first user. With slow mode, the second user is the creator, because higher roles are exempt."""
    owner, *rest = (others[0], creator, *others[1:]) if seconds else (creator, *others)
    made = await owner.call("conversation.create", title="Us", members=[other.user for other in rest])
    if seconds:
        await owner.call("conversation.edit", conversation=made.conversation.id, slow_seconds=seconds)
    return str(made.conversation.id)


async def rewind(db: Postgres, milliseconds: int) -> None:
    """Backdate the last messages by this time."""
    await db.run("update members set last_sent_at = last_sent_at - $1", milliseconds)


async def test_group_setting_events_arrive_in_order(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        id_ = await group(alice, bob)
        before = (await bob.call("session.sync"))["cursor"]
        await alice.send(id_)
        await alice.call("conversation.edit", conversation=id_, slow_seconds=30)
        await bob.send(id_)
        update = await alice.event("conversation.update")
        assert (update["conversation"]["slow_seconds"], update["rev"]) == (30, 4)
        state = (await bob.call("session.sync", cursor=before))["conversations"][0]
        assert (state["slow_seconds"], state["rev"]) == (30, 5)
        assert (await bob.call("conversation.get", conversation=id_)).conversation.slow_seconds == 30
        assert "behind" not in [event["t"] for _, event in (*alice.log, *bob.log)]


async def test_slow_mode_requires_the_permission(daemon: Daemon) -> None:
    async with daemon.people(3) as (alice, bob, stranger):
        id_ = await group(alice, bob)
        assert (await bob.refused("conversation.edit", conversation=id_, slow_seconds=5)).code == "forbidden"
        assert (await stranger.refused("conversation.edit", conversation=id_, slow_seconds=5)).code == "not_found"
        assert (await alice.refused("conversation.edit", conversation=NOBODY, slow_seconds=5)).code == "not_found"
        direct = (await alice.call("conversation.open", user=bob.user)).conversation.id
        assert (await alice.refused("conversation.edit", conversation=direct, slow_seconds=5)).code == "forbidden"
        for seconds in (-1, 3601, 1.5, True, "5"):
            assert (
                await alice.refused("conversation.edit", conversation=id_, slow_seconds=seconds)
            ).code == "bad_request"
        assert (await alice.call("conversation.get", conversation=id_)).conversation.slow_seconds == 0


async def test_moderators_are_exempt_from_slow_mode(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        id_ = await group(alice, bob, seconds=60)
        for _ in range(2):
            await bob.send(id_)
        await alice.send(id_)
        assert (
            await alice.refused("message.send", conversation=id_, client_id="two", text="two")
        ).code == "rate_limited"
        await bob.call("member.role", conversation=id_, user=alice.user, role="moderator")
        await alice.send(id_)


async def test_early_message_is_refused_with_retry_after(daemon: Daemon, db: Postgres) -> None:
    async with daemon.people(2) as (alice, bob):
        id_ = await group(alice, bob, seconds=60)
        await alice.send(id_, "one")
        early = await alice.refused("message.send", conversation=id_, client_id="two", text="two")
        assert (early.code, early.row.retryable) == ("rate_limited", True)
        assert 50 < (early.retry_after or 0) <= 60
        await bob.send(id_, "others are not meant")
        other = await group(alice, bob)
        await alice.send(other, "elsewhere")
        await rewind(db, 30_000)
        early = await alice.refused("message.send", conversation=id_, client_id="two", text="two")
        assert 0 < (early.retry_after or 0) <= 30
        await rewind(db, 30_000)
        assert (await alice.call("message.send", conversation=id_, client_id="two", text="two"))["seq"] == 3
        await bob.call("conversation.edit", conversation=id_, slow_seconds=0)
        assert [(await alice.send(id_))["seq"] for _ in range(3)] == [4, 5, 6]


async def test_slow_mode_is_not_extended_by_a_clock_set_back(daemon: Daemon, db: Postgres) -> None:
    async with daemon.people(2) as (alice, bob):
        id_ = await group(alice, bob, seconds=60)
        await alice.send(id_)
        await rewind(db, -1_000_000_000)
        assert (await alice.refused("message.send", conversation=id_, client_id="x", text="x")).retry_after == 60


async def test_repeated_message_is_exempt_from_slow_mode(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        id_ = await group(alice, bob, seconds=60)
        first = await alice.call("message.send", conversation=id_, client_id="c", text="one")
        again = await alice.call("message.send", conversation=id_, client_id="c", text="one")
        assert (again["duplicate"], again["message"], again["seq"]) == (True, first["message"], 1)
        async with daemon.person() as stranger:
            assert (
                await stranger.refused("message.send", conversation=id_, client_id="c", text="x")
            ).code == "not_found"
        other = await group(alice, bob)
        assert (await alice.refused("message.send", conversation=other, client_id="c", text="x")).code == "conflict"
        assert (await alice.refused("message.send", conversation=id_, client_id="d", text="x")).code == "rate_limited"


@pytest.mark.parametrize("same", [False, True])
async def test_simultaneous_messages_on_two_nodes_pass_slow_mode_once(config: Config, db: Postgres, same: bool) -> None:
    """Twenty messages of one member at once, each over its own connection, in one and in several batches; three rounds."""
    async with nodes(config) as (one, two), one.person("alice") as alice, two.person("bob") as bob:
        id_ = await group(alice, bob, seconds=60)
        acks: list[bool] = []
        refusals: list[str] = []

        async def send(person: Person, client_id: str) -> None:
            try:
                ack = await person.call("message.send", conversation=id_, client_id=client_id, text="x")
                acks.append(ack["duplicate"])
            except Refused as refused:
                refusals.append(refused.code)

        async with AsyncExitStack() as stack:
            sessions = [await stack.enter_async_context(node.connected(alice.account)) for node in (one, two) * 10]
            for number in range(3):
                await rewind(db, 60_000)
                acks.clear()
                async with trio.open_nursery() as nursery:
                    for session in sessions:
                        nursery.start_soon(send, session, f"same{number}" if same else str(uuid4()))
                assert acks.count(False) == 1
                assert acks.count(True) == (19 if same else 0)
        assert refusals == ["rate_limited"] * (0 if same else 57)
        history = (await bob.call("message.history", conversation=id_))["items"]
        assert [message["seq"] for message in history] == [1, 2, 3]
