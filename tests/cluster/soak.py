"""People write to each other while their workers are killed; then everybody's own log is judged (I1 to I6).

python -m tests.cluster.soak --seconds 60 --seeds 1 2 3
"""

import argparse
import os
import random
import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from chatd.client import Client, connect, sign_up
from tests.cluster.test_workers import workers_of
from tests.faults.process import Process, process

PEOPLE, GROUPS, MEMBERS = 12, 4, 5
CALM = 5.0


@dataclass
class Person:
    """Somebody, and what their client has told, by conversation: (seq, text)."""

    client: Client
    seen: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    async def listen(self) -> None:
        async for event in self.client.events:
            if event["t"] == "message.new":
                message = event["message"]
                self.seen.setdefault(event["conversation"], []).append((message["seq"], message["text"]))


@dataclass
class Group:
    """A conversation, its members, and what was acked to each: (seq, text)."""

    id: str
    members: list[Person]
    acked: dict[int, list[tuple[int, str]]] = field(default_factory=dict)

    async def write(self, number: int, rng: random.Random, stop: float) -> None:
        """One member writes, one message after the other."""
        acked = self.acked.setdefault(number, [])
        while trio.current_time() < stop:
            text = f"{number}-{len(acked)}"
            ack = await self.members[number].client.send(self.id, text)
            acked.append((ack["seq"], text))
            await trio.sleep(rng.random() * 0.05)

    async def history(self) -> list[Any]:
        items: list[Any] = []
        more = True
        while more:
            after = items[-1]["seq"] if items else 0
            page = await self.members[0].client.history(self.id, after=after, limit=200)
            items += page["items"]
            more = page["more"]
        return items

    async def judge(self) -> list[str]:
        """What is wrong: nothing, if all is well."""
        items = await self.history()
        texts = {item["seq"]: item["text"] for item in items}
        wrong = [] if list(texts) == list(range(1, len(items) + 1)) else ["the history has gaps or repeats"]
        if len({(item["sender"], item["client_id"]) for item in items}) != len(items):
            wrong.append("a message is there twice")
        for number, person in enumerate(self.members):
            mine = self.acked[number]
            wrong += [f"acked and lost: {seq}" for seq, text in mine if texts.get(seq) != text]
            told = person.seen.get(self.id, [])
            expected = [(seq, text) for seq, text in texts.items() if not text.startswith(f"{number}-")]
            if told != expected:
                wrong.append(f"member {number} was told {len(told)} messages, not {len(expected)}, or in another order")
        return wrong


async def kill_workers(daemon: Process, rng: random.Random, stop: float) -> int:
    """One every few seconds, without a word; how many."""
    kills = 0
    while trio.current_time() < stop:
        await trio.sleep(2.5)
        workers = workers_of(daemon)
        if workers:
            os.kill(rng.choice(workers), signal.SIGKILL)
            kills += 1
    return kills


async def soak(folder: Path, seed: int, seconds: float, workers: int = 3) -> tuple[int, list[str]]:
    """How many messages were acked, and what was wrong."""
    rng = random.Random(seed)
    async with process(folder, "--workers", str(workers)) as daemon, trio.open_nursery() as nursery:
        people = [await nursery.start(come, daemon) for _ in range(PEOPLE)]
        groups = [await make_group(rng.sample(people, MEMBERS)) for _ in range(GROUPS)]
        stop = trio.current_time() + seconds
        async with trio.open_nursery() as writers:
            writers.start_soon(kill_workers, daemon, rng, stop - CALM)
            for group in groups:
                for number in range(MEMBERS):
                    writers.start_soon(group.write, number, rng, stop)
        await trio.sleep(CALM)
        wrong = [problem for group in groups for problem in await group.judge()]
        nursery.cancel_scope.cancel()
    return sum(len(acked) for group in groups for acked in group.acked.values()), wrong


async def come(daemon: Process, task_status: trio.TaskStatus[Person]) -> None:
    """Somebody who stays."""
    async with connect(daemon.socket, await sign_up(daemon.http)) as client:
        client._backoff._most = 0.5
        person = Person(client)
        task_status.started(person)
        await person.listen()


async def make_group(members: list[Person]) -> Group:
    made = await members[0].client.create([person.client.user for person in members])
    return Group(made.conversation.id, members)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    for seed in options.seeds:
        count, wrong = trio.run(soak, Path(tempfile.mkdtemp(prefix="chatd-soak-")), seed, options.seconds)
        print(f"seed {seed}: {count} messages, {len(wrong)} violations", *wrong, sep="\n  ", flush=True)
        if wrong:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
