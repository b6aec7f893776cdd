"""Nodes are killed while strangers match: connected users get each event once, and the event log agrees with Postgres.

`python -m pytest tests/cluster/test_match_kills.py` kills a few nodes; CHATD_TEST_KILLS=50 kills more.
"""

import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, HandshakeError, connect_websocket_url

from chatd.client import Account, Disconnected, Refused, sign_up
from chatd.core.config import RedisSection
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.matching.event_log import EventLogReader
from chatd.matching.pool_events import Ended, Paired
from chatd.matching.settings import PoolLogSettings
from tests.cluster.conftest import QUICK
from tests.conftest import Servers
from tests.faults.process import Process
from tests.reply import Link, Reply

KILLS = int(os.environ.get("CHATD_TEST_KILLS", "2"))
PEOPLE = 8
# Seconds within which a connected user must learn of the beginning or the end of a match.
PATIENCE = 15.0
PREFIX = f"kills-{os.getpid()}"


@pytest.fixture
async def fleet(dsn: str, servers: Servers, tmp_path: Path) -> AsyncIterator[list[Process]]:
    """Two nodes that share their databases."""
    settings = {
        "CHATD_POSTGRES__DSN": dsn,
        "CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY": "true",
        "CHATD_REDIS__URL": servers.redis,
        "CHATD_REDIS__PREFIX": PREFIX,
        "CHATD_CLUSTER__HEARTBEAT": str(QUICK.heartbeat),
        "CHATD_MATCH__RECENT": "0",
        "CHATD_MATCH__RELAX": "0.2",
        "CHATD_MATCH__GRACE": "3",
    }
    nodes = [Process(tmp_path / f"node{number}", **settings) for number in range(2)]
    async with AsyncExitStack() as stack:
        for node in nodes:
            stack.push_async_callback(finish, node)
            await node.start()
        yield nodes


async def finish(node: Process) -> None:
    with trio.CancelScope(shield=True), suppress(ProcessLookupError, AssertionError):
        await node.kill()


@dataclass
class Stranger:
    """A user who matches with others, and reconnects to any node."""

    account: Account
    # Matches that were announced, and those that ended, over all connections.
    found: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    # Events of this connection.
    received: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def match(self) -> str | None:
        """The match that is still running."""
        return next((one for one in self.found if one not in self.over), None)

    async def live(self, fleet: Sequence[Process], rng: random.Random, stop: trio.Event) -> None:
        while not stop.is_set():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._live_once, rng.choice(fleet), rng, stop, nursery)
            await trio.sleep(0.1)

    async def _live_once(self, node: Process, rng: random.Random, stop: trio.Event, nursery: trio.Nursery) -> None:
        headers = [(b"Authorization", b"Bearer " + self.account.access_token.encode())]
        with suppress(OSError, HandshakeError, ConnectionClosed, Disconnected, trio.TooSlowError, Refused):
            with trio.fail_after(PATIENCE):
                socket = await connect_websocket_url(
                    nursery, node.socket, subprotocols=["chatd.v1.json"], extra_headers=headers
                )
                link = Link(socket)
                await link.receive()
            self.received.clear()
            nursery.start_soon(self._listen, link, nursery.cancel_scope)
            await self._come_back(link)
            while not stop.is_set():
                await self._meet(link, rng, stop)
        nursery.cancel_scope.cancel()

    async def _listen(self, link: Link, scope: trio.CancelScope) -> None:
        with suppress(ConnectionClosed, trio.BrokenResourceError):
            await link.run(self._note, lambda command, reply: None)
        scope.cancel()

    def _note(self, event: Reply) -> None:
        list_of = {"match.found": self.found, "match.ended": self.over}.get(event["t"])
        if list_of is not None:
            received = (event["t"], event["match"])
            if received in self.received:
                self.wrong.append(f"{received} twice")
            self.received.append(received)
            if event["t"] == "match.found" and event["match"] != self.match:
                self._end_earlier()
            list_of.append(event["match"])

    def _end_earlier(self) -> None:
        """A user in another match has missed the end of this one: allowed only between two connections."""
        if ("match.found", self.match) in self.received:
            self.wrong.append(f"another match began before {self.match} was over")
        self.over += self.found

    async def _come_back(self, link: Link) -> None:
        """A match that ended while disconnected is over; one that continues is not announced again."""
        if self.match is not None and await self._asks(link):
            self.over += self.found

    async def _asks(self, link: Link) -> bool:
        """Whether the user waits now; false if they are in a match."""
        try:
            await link.call({"t": "match.find"})
        except Refused as refused:
            if refused.code != "conflict":
                raise
            return False
        return True

    async def _find(self, link: Link, stop: trio.Event) -> None:
        """Wait for a match. After the stop there may be no partner, but a match that was made must be announced."""
        await self._asks(link)
        await self._comes(lambda: self.match is not None or stop.is_set())
        if self.match is None and not await self._asks(link):
            patience = PATIENCE if stop.is_set() else 0.0
            if not await self._comes(lambda: self.match is not None, patience):
                self.wrong.append("in a match, and told of none")

    async def _meet(self, link: Link, rng: random.Random, stop: trio.Event) -> None:
        """Find a partner, and end the match or wait for its end. After a conflict, its event must arrive."""
        if self.match is None:
            await self._find(link, stop)
            if self.match is None:
                return
        match = self.match
        await trio.sleep(rng.random() * 0.1)
        patience = 0.0 if rng.random() < 0.6 else 1.0
        if match is None or await self._comes(lambda: match in self.over, patience):
            return
        try:
            await link.call({"t": "match.leave"})
            self.over.append(match)
        except Refused as refused:
            # It is over already: its event is on the way.
            if refused.code == "not_found" and not await self._comes(lambda: match in self.over):
                self.wrong.append(f"the end was not announced of {match}")

    async def _comes(self, is_there: Callable[[], bool], patience: float = PATIENCE) -> bool:
        with trio.move_on_after(patience):
            while not is_there():
                await trio.sleep(0.02)
        return is_there()


async def test_killed_nodes_leave_no_gap_in_announcements_or_the_event_log(
    fleet: list[Process], store: Postgres, servers: Servers
) -> None:
    rng = random.Random(KILLS)
    people = [Stranger(await sign_up(fleet[0].http, name=f"p{number}")) for number in range(PEOPLE)]
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        for person in people:
            nursery.start_soon(person.live, fleet, random.Random(rng.random()), stop)
        for _ in range(KILLS):
            await trio.sleep(0.5 + rng.random())
            node = rng.choice(fleet)
            await node.kill()
            await node.start()
        await trio.sleep(2)
        stop.set()
    assert [wrong for person in people for wrong in person.wrong] == []
    async with open_redis(RedisSection(prefix=PREFIX, timeout=PATIENCE), servers.redis) as redis:
        await judge_event_log(redis, store)


async def judge_event_log(redis: Any, store: Postgres) -> None:
    """Each match in the database has one `paired` entry, and one `ended` if it has ended, once the owner has looked."""
    wrong: list[str] = ["not judged"]
    with trio.move_on_after(2 * PATIENCE):
        while wrong:
            await trio.sleep(0.5)
            ended = {
                row["id"]: row["over"]
                for row in await store.all("select id::text, ended_at is not null as over from matches")
            }
            wrong = faults_of(await EventLogReader(redis, PoolLogSettings().stream_key).everything(), ended)
    assert len(ended) > PEOPLE
    assert wrong == []


def faults_of(lines: Sequence[Any], ended: dict[str, bool]) -> list[str]:
    steps = [line.event for line in lines]
    paired = Counter(step.match for step in steps if type(step) is Paired)
    over = Counter(step.match for step in steps if isinstance(step, Ended))
    first = {step.match: at for at, step in reversed(list(enumerate(steps))) if type(step) is Paired}
    wrong = [f"{match} was paired {paired[match]} times" for match in ended if paired[match] != 1]
    wrong += [
        f"{match} ended {over[match]} times: {is_over}" for match, is_over in ended.items() if over[match] != is_over
    ]
    late = [step.match for at, step in enumerate(steps) if isinstance(step, Ended) and first.get(step.match, 0) > at]
    return wrong + [f"{match} was paired after its end" for match in late]
