"""Matches during a partition: each beginning and each end is announced to connected users within ten seconds, once."""

import random
from pathlib import Path

import trio

from tests.cluster.soak.fleet import open_fleet
from tests.cluster.test_silent_nodes import KNOWS_WITHIN, daemon_of
from tests.support import Person


def announced(person: Person, kind: str) -> list[str]:
    return [body["match"] for _, body in person.log if body["t"] == kind]


async def wait_until_announced(person: Person, kind: str, count: int) -> None:
    with trio.fail_after(KNOWS_WITHIN):
        while len(announced(person, kind)) < count:
            await trio.sleep(0.02)


async def test_each_beginning_and_end_is_announced_once(tmp_path: Path) -> None:
    """The first node owns the pool. Each node is cut from Redis in turn and reconnected."""
    async with open_fleet(tmp_path, 2, random.Random(1)) as fleet:
        one, two = map(daemon_of, fleet.nodes)
        async with one.person("alice") as alice, two.person("bob", "msgpack") as bob:
            await bob.call("match.find")
            await trio.sleep(1)
            with fleet.nodes[1].redis.broken():
                await alice.call("match.find")
                for person in (alice, bob):
                    await wait_until_announced(person, "match.found", 1)
                await alice.call("match.leave")
                await wait_until_announced(bob, "match.ended", 1)
            for person in (alice, bob):
                await person.call("match.find")
            for person in (alice, bob):
                await wait_until_announced(person, "match.found", 2)
            with fleet.nodes[0].redis.broken():
                await bob.call("match.leave")
                await wait_until_announced(alice, "match.ended", 1)
            await trio.sleep(4)
            found = announced(alice, "match.found")
            assert len(set(found)) == len(found) == 2
            assert announced(bob, "match.found") == found
            assert (announced(bob, "match.ended"), announced(alice, "match.ended")) == (found[:1], found[1:])
