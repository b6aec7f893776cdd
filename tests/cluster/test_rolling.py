"""A rolling restart: each node is drained and replaced in turn, while users send messages."""

import random
from pathlib import Path

import trio

from tests.cluster.soak.fleet import Fleet, open_fleet
from tests.cluster.soak.people import DOWN, UP, Group, Person, come, make_group
from tests.cluster.soak.run import judge_messages

PAUSE = 0.1


async def test_rolling_restart_of_two_nodes_loses_nothing(tmp_path: Path) -> None:
    async with open_fleet(tmp_path, 2, random.Random(1)) as fleet, trio.open_nursery() as nursery:
        people = [await nursery.start(come, fleet, Person) for _ in range(6)]
        group = await make_group(people)
        await write_meanwhile(group, fleet)
        assert await judge_messages(fleet.servers, people, [group]) == []
        assert fleet.problems() == []
        for person in people:
            check_goodbyes(person)
        nursery.cancel_scope.cancel()


async def write_meanwhile(group: Group, fleet: Fleet) -> None:
    over = trio.Event()
    async with trio.open_nursery() as writers:
        for number in range(len(group.members)):
            writers.start_soon(group.write, number, random.Random(number), PAUSE, over)
        for node in fleet.nodes:
            await trio.sleep(0.5)
            assert await node.drain() == 0
            await node.start()
        await trio.sleep(0.5)
        over.set()


def check_goodbyes(person: Person) -> None:
    """Every connection that ended was announced before, and closed as `going away`."""
    ended = 0
    is_leaving = False
    for frame in person.client.wire:
        if frame.kind == UP:
            is_leaving = False
        elif frame.body.get("t") == "maintenance.mode":
            is_leaving = frame.body["enabled"]
        elif frame.kind == DOWN and "code" in frame.body:
            assert (is_leaving, frame.body["code"]) == (True, 1001)
            ended += 1
    assert ended >= 1
    assert all(message.acked for message in person.sent)
