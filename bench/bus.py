"""CPU time of a node per event that another node has published on the bus.

python -m bench.bus

One process has the bus, the hub and the subscriptions of a node; a second one writes entries of another node to a Redis
of its own. An event is `ignored` if no session of the node is subscribed to its conversation, and `delivered` if one
is. The figure is the CPU time of the reading thread per event, with `batch` events in an entry: all entries at once, as
after a pause, and then `--rate` events per second. The write to the socket of the session is not included
(`bench.fanout` measures it).
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import uuid4

import msgspec
import trio
import trio_asyncio
from msgspec import Raw
from redis import Redis as Client
from rich.console import Console
from rich.table import Table

from bench.servers import TEXT
from chatd.cluster.bus import Bus
from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import DeliverToConversation, encode
from chatd.cluster.stream_entries import ENCODE, Entry
from chatd.core.config import RedisSection
from chatd.db.embedded import redis as embedded
from chatd.db.redis import open_redis
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Delivery, SessionInfo
from chatd.wire.codec import Codec, codecs

CONVERSATIONS, USERS = 1000, 50
# Time for the reader to reach the end of the stream and wait there.
SETTLE_S = 0.2
POLL_S, TIMEOUT_S = 0.1, 120.0
MAX_IGNORED_US = 5.0
Feed = Callable[[str, str, list[bytes]], None]
Figures = dict[str, float]
CODEC = codecs(())["chatd.v1.msgpack"]


class CountingSession:
    """A session whose socket takes everything."""

    def __init__(self, user: str) -> None:
        self.id = self.user = user
        self.tenant, self.login, self.token_id, self.address = "t", "", "", ""
        self.codec: Codec = CODEC
        self.received = 0

    def send_nowait(self, frame: bytes, delivery: Delivery | None = None, /) -> bool:
        self.received += 1
        return True

    def request_close(self, close: str, reason: str = "") -> None:
        raise AssertionError(close)

    def info(self) -> SessionInfo:
        raise NotImplementedError


class OtherNode:
    """A node that writes events of new messages. Each event is the next one of its conversation."""

    def __init__(self, conversations: list[str]) -> None:
        self._conversations = conversations
        self._users = [str(uuid4()) for _ in range(USERS)]
        self.events = self.entries = 0

    def entry(self, batch: int) -> bytes:
        self.entries += 1
        return ENCODE(Entry("other", self.entries, [], [self._message() for _ in range(batch)]))

    def _message(self) -> Raw:
        turn, place = divmod(self.events, len(self._conversations))
        self.events += 1
        conversation, rev = self._conversations[place], turn + 1
        fields = {"id": str(uuid4()), "conversation": conversation, "seq": rev, "sender": self._users[place % USERS]}
        event = {"t": "message.new", "rev": rev, "message": {**fields, "text": TEXT, "at": 1_700_000_000_000}}
        body = Raw(msgspec.msgpack.encode(event))
        return Raw(encode(DeliverToConversation("t", conversation, rev, None, False, body)))


def at_once(socket: str, key: str, entries: list[bytes]) -> None:
    """Write all entries in one transaction, so that each read gets as many as it asks for."""
    with Client(unix_socket_path=socket) as client, client.pipeline(transaction=True) as pipe:
        for entry in entries:
            pipe.xadd(key, {"b": entry})
        pipe.execute()


def paced(socket: str, key: str, entries: list[bytes], *, per_second: float) -> None:
    begun = time.monotonic()
    with Client(unix_socket_path=socket) as client:
        for number, entry in enumerate(entries):
            time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            client.xadd(key, {"b": entry})


def in_process(work: Callable[[], None]) -> None:
    """Run in another process, which does not compete for the interpreter lock."""
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join()


async def us_per_event(socket: Path, events: int, batch: int, feed: Feed, *, listens: bool) -> float:
    """Let a new node read this many events. Raises AssertionError if it lost one."""
    conversations = [str(uuid4()) for _ in range(CONVERSATIONS)]
    writer = OtherNode(conversations)
    entries = [writer.entry(batch) for _ in range(max(1, events // batch))]
    async with (
        open_redis(RedisSection(prefix=str(uuid4())), f"unix://{socket}") as redis,
        trio.open_nursery() as nursery,
    ):
        hub = Hub()
        sessions = [CountingSession(str(uuid4())) for _ in range(USERS if listens else 0)]
        for number, conversation in enumerate(conversations if listens else ()):
            hub.subscriptions.subscribe(sessions[number % USERS], conversation, 0)
        bus = Bus(redis, "measured")
        cluster = Cluster(hub, bus, None)  # type: ignore[arg-type]
        nursery.start_soon(bus.read, cluster.handle, cluster.resync)
        await trio.sleep(SETTLE_S)
        with trio.fail_after(TIMEOUT_S):
            before = time.thread_time_ns()
            await trio.to_thread.run_sync(in_process, partial(feed, str(socket), redis.key("bus"), entries))
            while bus.received < writer.events:
                await trio.sleep(POLL_S)
            used = time.thread_time_ns() - before
        assert bus.gaps == 0
        assert sum(session.received for session in sessions) == (writer.events if listens else 0)
        nursery.cancel_scope.cancel()
    return used / writer.events / 1000


async def measure(options: argparse.Namespace, socket: Path) -> list[Figures]:
    """The figures of each round, by what happens to an event, how it arrives, and the batch."""
    rounds = []
    async with trio_asyncio.open_loop():
        for _ in range(options.rounds):
            figures: Figures = {}
            for listens in (False, True):
                for batch in options.batches:
                    paces: dict[str, Feed] = {
                        "at once": at_once,
                        f"{options.rate}/s": partial(paced, per_second=options.rate / batch),
                    }
                    for pace, feed in paces.items():
                        events = options.events if feed is at_once else min(options.events, options.rate * 2)
                        name = f"{'delivered' if listens else 'ignored'}, {pace}, batch {batch}"
                        figures[name] = await us_per_event(socket, events, batch, feed, listens=listens)
            rounds.append(figures)
    return rounds


async def run(options: argparse.Namespace) -> list[Figures]:
    with tempfile.TemporaryDirectory(prefix="chatd-bench-") as folder:
        server = embedded.Server(Path(folder, "redis"), "+@all -@scripting")
        await server.start()
        try:
            return await measure(options, server.socket)
        finally:
            await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time per event of another node")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 100], help="events per entry")
    parser.add_argument("--rate", type=int, default=1000, help="events per second of the paced writer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    options = parser.parse_args()
    rounds = trio.run(run, options)
    medians = {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
    goal = f"ignored, at once, batch {max(options.batches)}"
    missed = [goal] if medians[goal] > MAX_IGNORED_US else []
    if options.json:
        print(json.dumps({"bench": "bus", "rounds": rounds, "missed": missed}, indent=1))
    else:
        table = Table("CPU us per event of another node", "median", "range")
        for name, median in medians.items():
            values = [figures[name] for figures in rounds]
            table.add_row(name, f"{median:.1f}", f"{min(values):.1f} to {max(values):.1f}")
        Console().print(table)
    sys.exit(1 if missed and options.check else 0)


if __name__ == "__main__":
    main()
