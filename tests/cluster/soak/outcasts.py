"""Users who are excluded: removed from a group, blocked or banned. They must not receive later messages (I9)."""

import os
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio

from chatd.client import Disconnected, Ended, Refused, sign_up
from tests.cluster.soak.fleet import Fleet
from tests.cluster.soak.people import Person, Recorder, Sent, connected
from tests.faults.process import SECRET
from tests.forked import run_chatd

AGAIN = 0.2
# Seconds: for messages after the exclusion, and until a node without the bus must enforce a ban (I15).
TALK, NOTICED = 0.5, 10.0


@dataclass
class Party:
    """A host and a friend who keep talking, and a guest who is excluded again and again."""

    fleet: Fleet
    host: Person
    friend: Person
    guest: Person
    banned: list[Person] = field(default_factory=list)
    blocked: list[Sent] = field(default_factory=list)

    shut_out: int = 0

    @property
    def people(self) -> list[Person]:
        return [self.host, self.friend, self.guest, *self.banned]

    @property
    def outcasts(self) -> list[Person]:
        return [self.guest, *self.banned]

    async def go_on(self, rng: random.Random, over: trio.Event) -> None:
        ways = [self._remove, self._block, self._ban]
        number = 0
        while not over.is_set():
            await ways[number % len(ways)](rng)
            number += 1
            self.shut_out += 1

    async def _meet(self, guest: Person) -> str:
        """Create a group of the three; return when the guest got its event."""
        made = await insist(lambda: self.host.client.create([self.friend.user, guest.user]))
        await self.host.say(made.conversation.id, f"welcome to {made.conversation.id}")
        return str(made.conversation.id)

    async def _talk_behind(self, guest: Person, group: str, rng: random.Random) -> None:
        with trio.move_on_after(TALK):
            number = 0
            while True:
                await rng.choice((self.host, self.friend)).say(group, f"{behind(guest)}, {group}, {number}")
                number += 1

    async def _remove(self, rng: random.Random) -> None:
        group = await self._meet(self.guest)
        await insist(lambda: self.host.client.remove(group, self.guest.user), done="not_found")
        await self._talk_behind(self.guest, group, rng)

    async def _block(self, rng: random.Random) -> None:
        opened = await insist(lambda: self.host.client.open(self.guest.user))
        await insist(lambda: self.host.client.block(self.guest.user))
        self.blocked.append(await self.guest.say(opened.conversation.id, f"let me in {len(self.blocked)}"))
        await insist(lambda: self.host.client.block(self.guest.user, on=False), done="not_found")

    async def _ban(self, rng: random.Random) -> None:
        """Ban an account made for this; banned users do not return."""
        async with trio.open_nursery() as nursery:
            guest, gone = await nursery.start(self._come_once)
            group = await self._meet(guest)
            await self._order_ban(guest)
            with trio.move_on_after(NOTICED):
                await gone.wait()
            await self._talk_behind(guest, group, rng)
            nursery.cancel_scope.cancel()

    async def _come_once(self, *, task_status: trio.TaskStatus[tuple[Person, trio.Event]]) -> None:
        account = await insist(lambda: sign_up(self.fleet.http))
        guest, gone = Person(account, Recorder(self.fleet, account)), trio.Event()
        self.banned.append(guest)
        try:
            async with connected(guest):
                task_status.started((guest, gone))
                await trio.sleep_forever()
        except* (Ended, Refused):
            gone.set()

    async def _order_ban(self, guest: Person) -> None:
        """Ban the user as an operator does; retry until it succeeds."""
        servers = self.fleet.servers
        where = {
            "CHATD_POSTGRES__DSN": servers.postgres.dsn,
            "CHATD_REDIS__URL": servers.redis.url,
            "CHATD_AUTH__SECRET": SECRET,
            "CHATD_DATA__SECRET": SECRET,
        }
        ban = partial(run_chatd, ("bans", "add", guest.user), Path.cwd(), os.environ | where)
        while True:
            ran = await trio.to_thread.run_sync(ban)
            if ran.returncode == 0:
                return
            await trio.sleep(AGAIN)


def behind(guest: Person) -> str:
    """The prefix of messages that the excluded user must not receive."""
    return f"behind {guest.user}"


async def insist(ask: Callable[[], Awaitable[Any]], done: str = "") -> Any:
    """Retry until the command succeeds, or is refused with `done` after an earlier success. Raises Refused."""
    while True:
        try:
            return await ask()
        except Refused as refused:
            if refused.code == done:
                return None
            if not refused.row.retryable:
                raise
        except (Disconnected, OSError):
            pass
        await trio.sleep(AGAIN)


def judge_outcasts(parties: Sequence[Party]) -> list[str]:
    """Check I9 by all frames that the user received."""
    wrong = []
    for party in parties:
        for guest in party.outcasts:
            received = [frame for frame in guest.client.wire if behind(guest) in str(frame.body)]
            wrong += [f"I9: {guest.user} got what was sent after the exclusion: {frame}"[:600] for frame in received]
        wrong += [f"I9: {sent} came from somebody blocked" for sent in party.blocked if sent.acked]
    return wrong
