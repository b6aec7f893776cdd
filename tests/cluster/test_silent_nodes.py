"""A node that dies, or is cut from Redis only: users on other nodes learn of all its commits within ten seconds."""

import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from chatd.app.addresses import Addresses
from chatd.core.config import Config
from tests.cluster.soak.fleet import Fleet, Node, open_fleet
from tests.reply import Reply
from tests.support import Daemon, Person, eventually

# Seconds within which connected users must learn of a commit.
KNOWS_WITHIN = 10.0
DEAD_NODE_KNOWN_WITHIN = 5.0


def knows(person: Person, conversation: str) -> int:
    """The `rev` up to which this client knows the conversation, by events, acks or `behind`."""
    events = [body for of, body in person.log if conversation in (of, body.get("conversation"))]
    return max((int(body.get("rev") or 0) for body in events), default=0)


async def comes_to_know(person: Person, conversation: str, rev: int) -> float:
    """The seconds until the client knew of it."""
    began = trio.current_time()
    with trio.fail_after(KNOWS_WITHIN):
        while knows(person, conversation) < rev:
            await trio.sleep(0.02)
    return trio.current_time() - began


def texts_heard(person: Person) -> list[str]:
    return [body["message"]["text"] for _, body in person.log if body["t"] == "message.new"]


def daemon_of(node: Node) -> Daemon:
    return Daemon(Config(), Addresses(node.process.socket, node.process.http))


@asynccontextmanager
async def group_on(fleet: Fleet) -> AsyncIterator[tuple[Person, Person, Person, str]]:
    """Alice and Xenia on the first node; Bob, who owns the group, on the second."""
    one, two = map(daemon_of, fleet.nodes)
    async with one.person("alice") as alice, one.person("xenia") as xenia, two.person("bob", "msgpack") as bob:
        made = await bob.call("conversation.create", title="x", members=[alice.user, xenia.user])
        conversation = made["conversation"]["id"]
        ack = await bob.send(conversation, "all are here")
        for person in (alice, xenia):
            await comes_to_know(person, conversation, ack["rev"])
        yield alice, xenia, bob, conversation


async def test_commits_of_isolated_or_killed_nodes_are_found(tmp_path: Path) -> None:
    async with open_fleet(tmp_path, 2, random.Random(1)) as fleet, group_on(fleet) as (alice, xenia, bob, conversation):
        with fleet.nodes[0].redis.broken():
            await removed_while_cut(alice, xenia, bob, conversation)
            for number in range(2):
                ack = await alice.send(conversation, f"cut {number}")
                await comes_to_know(bob, conversation, ack["rev"])
            ack = await bob.send(conversation, "the other way")
            await comes_to_know(alice, conversation, ack["rev"])
            assert fleet.nodes[0].process.log.count("cluster bus failed") == 1
        await killed_after_the_ack(fleet, alice, bob)


async def removed_while_cut(alice: Person, xenia: Person, bob: Person, conversation: str) -> None:
    """The node of the removed member misses the removal, and delivers its own messages at once: not to them."""
    await bob.call("member.remove", conversation=conversation, user=xenia.user)
    for number in range(30):
        await alice.send(conversation, f"past the cut {number}")
    await comes_to_know(xenia, conversation, 1)
    await trio.sleep(1)
    assert not [text for text in texts_heard(xenia) if text.startswith("past")]
    assert (await xenia.refused("message.history", conversation=conversation)).code == "not_found"


async def killed_after_the_ack(fleet: Fleet, alice: Person, bob: Person) -> None:
    """Nothing was published: neither a message of a quiet conversation, nor a new conversation."""
    one, two = (node.process for node in fleet.nodes)
    opened: Reply = (await alice.call("conversation.open", user=bob.user))["conversation"]
    known = await alice.send(opened["id"], "before")
    await comes_to_know(bob, opened["id"], known["rev"])
    await eventually(lambda: "cluster bus recovered" in two.log)
    with fleet.nodes[0].redis.broken():
        ack = await alice.send(opened["id"], "the last word")
        one.signal(signal.SIGKILL)
        assert await comes_to_know(bob, opened["id"], ack["rev"]) < DEAD_NODE_KNOWN_WITHIN
        changes = await bob.call("conversation.sync", conversation=opened["id"], rev=known["rev"])
        assert [message["text"] for message in changes["messages"]] == ["the last word"]
        # Postgres shows that the node is dead: no node keeps asking.
        await eventually(lambda: two.log.count("cluster bus recovered") == 2)
