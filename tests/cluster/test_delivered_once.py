"""No session gets an event of one `rev` twice, whatever happens to nodes, connections, the bus and commits at the same
time.
"""

import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
import trio
from msgspec.structs import replace

from chatd.client import Disconnected, Refused
from chatd.core.config import Config
from chatd.db.embedded import redis
from chatd.db.postgres import Postgres
from tests.cluster.test_two_nodes import empty, nodes, own_redis
from tests.support import Daemon, Person, eventually
from tests.wire_client import Raw

__all__ = ["own_redis"]
# Longer to search, by hand.
DURATION_S = float(os.environ.get("DURATION", "6"))
WATCHERS = 8
TERMINATE = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name like 'chatd%' and pid <> pg_backend_pid() and random() < 0.3
"""
LOCK_S = 0.4


class Log:
    """What one session received: the revs of its messages and acks, and those of `behind`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[tuple[str, int]] = []

    def note(self, body: dict[str, Any]) -> None:
        if body["t"] in ("message.new", "behind", "message.ack", "message.update", "member.update") and not body.get(
            "duplicate"
        ):
            self.entries.append((body["t"], body["rev"]))

    def faults(self) -> list[str]:
        """Revs that arrived twice, or after a higher one."""
        last, found = 0, []
        for kind, rev in self.entries:
            if rev <= last and not (kind == "behind" and rev == last):
                found.append(f"{self.name}: {kind} {rev} after {last} in {self.entries[-40:]}")
            last = max(last, rev)
        return found


class Room:
    """A group on two nodes, and the logs of all its sessions."""

    def __init__(self, daemons: list[Daemon], people: list[Person], conversation: str) -> None:
        self.daemons, self.people, self.conversation = daemons, people, conversation
        self.rng = random.Random()
        self.logs = list[Log]()
        self.delivered = 0

    async def watch(self) -> None:
        """Connect as one of the members, send now and then, and disconnect after a moment."""
        person, codec = self.rng.choice(self.people), self.rng.choice(("json", "msgpack"))
        format_: Any = getattr(msgspec, codec)
        async with Raw.session(self.rng.choice(self.daemons), codec, person.user) as raw:
            log = Log(f"{codec} session of {person.user[-4:]}")
            self.logs.append(log)
            with trio.move_on_after(self.rng.random() ** 3 * 3):
                while True:
                    if self.rng.random() < 0.05:
                        send = {
                            "t": "message.send",
                            "conversation": self.conversation,
                            "client_id": str(uuid4()),
                            "text": "w",
                        }
                        await raw.send(Raw.frame_of(format_.encode([7, send]), 1 if codec == "json" else 2))
                    first, payload = await raw.frame()
                    if first in (0x81, 0x82):
                        body = format_.decode(payload)[1]
                        if body.get("conversation", self.conversation) == self.conversation and "rev" in body:
                            log.note(body)
            self.delivered += len(log.entries)

    async def talk(self) -> None:
        person = self.rng.choice(self.people)
        await person.send(self.conversation, "t")
        await trio.sleep(self.rng.random() * 0.02)

    async def remove_and_add(self) -> None:
        owner, member = self.people[0], self.people[-1]
        await owner.call("member.remove", conversation=self.conversation, user=member.user)
        await trio.sleep(self.rng.random() * 0.3)
        await owner.call("member.add", conversation=self.conversation, users=[member.user])
        await trio.sleep(self.rng.random())


async def for_ever(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        with suppress(Refused, Disconnected, EOFError, trio.BrokenResourceError, trio.TooSlowError):
            await work()
        await trio.lowlevel.checkpoint()


async def test_no_session_gets_a_rev_twice(config: Config, own_redis: redis.Server, store: Postgres) -> None:
    shared = replace(config, redis=replace(config.redis, url=own_redis.url))
    async with (
        nodes(shared) as (one, two),
        one.person("ann") as ann,
        two.person("ben") as ben,
        two.person("cat") as cat,
    ):
        made = await ann.call("conversation.create", title="x", members=[ben.user, cat.user])
        room = Room([one, two], [ann, ben, cat], made.conversation.id)

        async def lose_the_bus() -> None:
            await trio.sleep(room.rng.random() * 2)
            await trio.to_thread.run_sync(empty, own_redis)

        async def lose_commits() -> None:
            await trio.sleep(room.rng.random() * 3)
            await store.all(TERMINATE)

        async def lock_messages() -> None:
            await trio.sleep(room.rng.random() * 4)
            await store.run(f"do $$ begin lock table messages in share mode; perform pg_sleep({LOCK_S}); end $$")

        async with trio.open_nursery() as nursery:
            for work in [room.watch] * WATCHERS + [room.talk] * 4:
                nursery.start_soon(for_ever, work)
            for work in (room.remove_and_add, lose_the_bus, lose_commits, lock_messages):
                nursery.start_soon(for_ever, work)
            await trio.sleep(DURATION_S)
            await eventually(lambda: sum(len(person.log) for person in room.people) > 200)
            nursery.cancel_scope.cancel()
        for person in room.people:
            log = Log(f"person {person.user[-4:]}")
            for kind, body in person.log:
                if "rev" in body and room.conversation in (kind, body.get("conversation", room.conversation)):
                    log.note(dict(body))
            room.logs.append(log)
        print(f"{len(room.logs)} sessions, {sum(len(log.entries) for log in room.logs)} events")
        assert [fault for log in room.logs for fault in log.faults()] == []
        assert sum(len(log.entries) for log in room.logs) > 100
