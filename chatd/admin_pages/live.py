"""Live figures: each node writes a sample of itself every two seconds, to a sorted set in Redis that has those of 15
minutes, by time.

So any node can show the charts of all nodes, also those of a node that has stopped, and reading scans no keys.
Samples have the time of Redis: the clock of a node does not matter. Without Redis there are the samples of this node.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import trio
from msgspec import Struct

from chatd.app.context import Node
from chatd.core.errors import Refused
from chatd.operations.rates import Line, Pool, latency, line_of, pool_of, seconds_between
from chatd.operations.snapshot import Snapshot, SnapshotSource

INTERVAL_S = 2.0
KEPT_MS = 900_000
MAX_SAMPLES = 450
MAX_NODES = 100
# Steps for which the last sample of a node counts.
MAX_CARRIED = 3
# Refusals that are failures of the server, and not of what a client has sent.
FAILURES = ("internal", "unavailable", "timeout")
ENCODE = msgspec.json.Encoder().encode


class Sample(Struct):
    """A node over two seconds. Rates are per second, times in ms. `errors`: refusals because the server has failed.

    `sends`: p50 and p99 of `message.send`, from frame to ack; None if there were none.
    """

    at: int
    line: Line
    errors: float
    send_p50: float | None
    send_p99: float | None
    pool: Pool
    users: int
    longest_queue: int


DECODE = msgspec.json.Decoder(Sample).decode


class Samples(Struct, frozen=True):
    """Samples, the oldest first. `is_alone`: only those of this node, because Redis is unavailable."""

    items: list[Sample]
    is_alone: bool = False

    @classmethod
    def ordered(cls, items: list[Sample], *, is_alone: bool = False) -> "Samples":
        return cls(sorted(items, key=lambda sample: sample.at), is_alone)


class LiveSamples:
    """Takes and reads the samples."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._redis = node.redis
        self._source = node.get(SnapshotSource)
        self.own: deque[Sample] = deque(maxlen=MAX_SAMPLES)

    async def run(self) -> None:
        before = self._source.snapshot()
        while True:
            await trio.sleep(INTERVAL_S)
            now = self._source.snapshot()
            await self.add(sample_of(before, now))
            before = now

    async def add(self, sample: Sample) -> None:
        """Keep a sample, and write it to Redis if that is available."""
        name, nodes = self._node.cluster.name, self._redis.key("live")
        with suppress(Refused):
            sample.at = await self._redis.now_ms()
            key = self._redis.key("live", name)
            await self._redis.transaction(
                ("ZADD", key, sample.at, ENCODE(sample)),
                ("ZREMRANGEBYSCORE", key, "-inf", sample.at - KEPT_MS),
                ("PEXPIRE", key, KEPT_MS),
                ("ZADD", nodes, sample.at, name),
                ("ZREMRANGEBYSCORE", nodes, "-inf", sample.at - KEPT_MS),
                ("PEXPIRE", nodes, KEPT_MS),
            )
        self.own.append(sample)

    async def read(self, since: int) -> Samples:
        """The samples of all nodes after this time."""
        try:
            now = await self._redis.now_ms()
            oldest = max(since, now - KEPT_MS)
            found = await self._each("ZRANGEBYSCORE", f"({oldest}", "+inf")
        except Refused:
            return Samples.ordered([sample for sample in self.own if sample.at > since], is_alone=True)
        return Samples.ordered([sample for sample in found if sample.at > since])

    async def last(self) -> Samples:
        """The last sample of each node that still writes some."""
        try:
            found = await self._each("ZRANGE", -1, -1)
        except Refused:
            return Samples.ordered(list(self.own)[-1:], is_alone=True)
        return Samples.ordered(found)

    async def _each(self, command: str, *args: Any) -> list[Sample]:
        """The samples that a command finds in the sorted set of each node. Raises Refused: `unavailable`."""
        names = await self._redis.call("ZRANGE", self._redis.key("live"), -MAX_NODES, -1)
        samples: list[Sample] = []
        for name in names:
            for text in await self._redis.call(command, self._redis.key("live", name.decode()), *args):
                with suppress(msgspec.DecodeError):
                    samples.append(DECODE(text))
                await trio.lowlevel.checkpoint()
        return samples


def sample_of(before: Snapshot, now: Snapshot) -> Sample:
    """The sample of the time between two snapshots of this node."""
    seconds = seconds_between(before, now)
    sends = now.durations_of("chatd_command_seconds").get("message.send")
    earlier = before.durations_of("chatd_command_seconds").get("message.send")
    recent = latency(sends.since(earlier), seconds) if sends and earlier else None
    return Sample(
        at=now.at,
        line=line_of(before, now),
        errors=(failures(now) - failures(before)) / seconds,
        send_p50=None if recent is None else recent.p50,
        send_p99=None if recent is None else recent.p99,
        pool=pool_of([now]),
        users=int(now.number("chatd_users")),
        longest_queue=int(now.number("chatd_match_longest_queue_tickets")),
    )


def failures(snapshot: Snapshot) -> float:
    return sum(value for (code,), value in snapshot.numbers.get("chatd_refusals_total", ()) if code in FAILURES)


class Series(Struct):
    """The figures of all nodes together, by time: `times` in seconds since 1970, and a list of the same length each."""

    times: list[float]
    connections: list[float]
    users: list[float]
    messages: list[float]
    deliveries: list[float]
    send_p50: list[float | None]
    send_p99: list[float | None]
    waiting: list[float]
    errors: list[float]
    queued: list[float]


def series_of(samples: list[Sample]) -> Series:
    """Add up the samples of the nodes in steps of two seconds; of latencies, take the highest."""
    rows = list(steps_of(samples))
    nodes = [one for _, one in rows]
    return Series(
        times=[at for at, _ in rows],
        connections=[sum(one.line.connections for one in row) for row in nodes],
        users=[sum(one.users for one in row) for row in nodes],
        messages=[round(60 * sum(one.line.messages for one in row), 1) for row in nodes],
        deliveries=[round(60 * sum(one.line.deliveries for one in row), 1) for row in nodes],
        send_p50=[highest(one.send_p50 for one in row) for row in nodes],
        send_p99=[highest(one.send_p99 for one in row) for row in nodes],
        waiting=[sum(one.pool.waiting for one in row) for row in nodes],
        errors=[round(60 * sum(one.errors for one in row), 1) for row in nodes],
        queued=[sum(one.line.message_log_waiting + one.line.bus_waiting for one in row) for row in nodes],
    )


def steps_of(samples: list[Sample]) -> Iterator[tuple[float, list[Sample]]]:
    """Each step, with the last sample of each node. A node may have none in a step: its last one counts for a while."""
    steps: dict[int, dict[str, Sample]] = {}
    for sample in samples:
        steps.setdefault(int(sample.at / 1000 // INTERVAL_S), {})[sample.line.node] = sample
    last: dict[str, tuple[int, Sample]] = {}
    for step in sorted(steps):
        last |= {node: (step, sample) for node, sample in steps[step].items()}
        yield step * INTERVAL_S, [sample for at, sample in last.values() if at > step - MAX_CARRIED]


def highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
