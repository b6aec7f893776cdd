"""The faults that are injected, when, and for how long. The codes are those of the list of faults to survive."""

import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from tests.cluster.soak.fleet import Fleet

CUT = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'"


@dataclass
class Weather:
    """The injected faults with start and end, and problems observed on the way."""

    rng: random.Random
    spells: list[tuple[str, float, float]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def is_calm(self, start: float, end: float) -> bool:
        """Whether there was no fault between two times."""
        return all(end <= since or start >= until for _, since, until in self.spells)

    def last_end(self, before: float) -> float:
        return max((until for _, since, until in self.spells if since <= before), default=0.0)

    @asynccontextmanager
    async def spell(self, name: str) -> AsyncIterator[None]:
        since = trio.current_time()
        # Until it ends, a fault lasts forever.
        self.spells.append((name, since, since + 1e9))
        try:
            yield
        finally:
            self.spells.remove((name, since, since + 1e9))
            self.spells.append((name, since, trio.current_time()))


Fault = Callable[[Fleet, Weather], Awaitable[None]]


async def kill_node(fleet: Fleet, weather: Weather) -> None:
    """Kill a node."""
    async with fleet.one() as node:
        await node.kill()
        await trio.sleep(weather.rng.random())
        await node.start()


async def drain_node(fleet: Fleet, weather: Weather) -> None:
    """Drain a node."""
    async with fleet.one() as node:
        code = await node.drain()
        if code != 0:
            weather.problems.append(f"a drain ended with {code}")
        await node.start()


async def stop_node(fleet: Fleet, weather: Weather, seconds: float = 0.0) -> None:
    """Stop a node and continue it."""
    async with fleet.one() as node:
        node.process.signal(signal.SIGSTOP)
        await trio.sleep(seconds or weather.rng.uniform(2, 8))
        node.process.signal(signal.SIGCONT)


async def crash_postgres(fleet: Fleet, weather: Weather) -> None:
    """Crash Postgres."""
    await fleet.servers.postgres.stop(weather.rng.choice(("immediate", "fast")))
    await trio.sleep(weather.rng.uniform(0, 3))
    await fleet.servers.postgres.start()


async def cut_postgres(fleet: Fleet, weather: Weather) -> None:
    """Cut the connections to Postgres."""
    await fleet.servers.sql(CUT)


async def lock_messages(fleet: Fleet, weather: Weather) -> None:
    """Lock the table of messages."""
    await fleet.servers.sql("begin; lock table messages; select pg_sleep(4); commit")


async def kill_redis(fleet: Fleet, weather: Weather, *, forget: bool = True) -> None:
    """Kill Redis."""
    await fleet.servers.kill_redis(forget=forget)
    await trio.sleep(weather.rng.uniform(0, 3))
    await fleet.servers.redis.start()


async def flush_redis(fleet: Fleet, weather: Weather) -> None:
    """Flush Redis."""
    fleet.servers.ask_redis("FLUSHALL")


async def cut_redis(fleet: Fleet, weather: Weather) -> None:
    """Cut the connections to Redis."""
    fleet.servers.ask_redis("CLIENT KILL TYPE normal")


async def pause_redis(fleet: Fleet, weather: Weather, seconds: float = 5.0) -> None:
    """Pause Redis."""
    fleet.servers.ask_redis(f"CLIENT PAUSE {seconds * 1000:.0f} ALL")
    await trio.sleep(seconds)


async def fill_redis(fleet: Fleet, weather: Weather) -> None:
    """Redis is out of memory."""
    fleet.servers.ask_redis("CONFIG SET maxmemory 1")
    await trio.sleep(weather.rng.uniform(1, 5))
    fleet.servers.ask_redis("CONFIG SET maxmemory 0")


async def demote_redis(fleet: Fleet, weather: Weather) -> None:
    """Redis is read-only."""
    fleet.servers.ask_redis("REPLICAOF 127.0.0.1 1")
    await trio.sleep(weather.rng.uniform(1, 5))
    fleet.servers.ask_redis("REPLICAOF NO ONE")


async def part_from_redis(fleet: Fleet, weather: Weather, seconds: float = 0.0) -> None:
    """Partition one node from Redis, in one direction or both."""
    async with fleet.one() as node:
        out, back = weather.rng.choice(((True, True), (True, False), (False, True)))
        with node.redis.broken(out=out, back=back):
            await trio.sleep(seconds or weather.rng.uniform(2, 8))


async def part_from_postgres(fleet: Fleet, weather: Weather) -> None:
    """Partition one node from Postgres."""
    async with fleet.one() as node:
        out, back = weather.rng.choice(((True, True), (True, False), (False, True)))
        with node.postgres.broken(out=out, back=back):
            await trio.sleep(weather.rng.uniform(2, 8))


FAULTS: tuple[Fault, ...] = (
    kill_node, drain_node, stop_node, crash_postgres, cut_postgres, lock_messages, kill_redis, flush_redis, cut_redis,
    pause_redis, fill_redis, demote_redis, part_from_redis, part_from_postgres,
)  # fmt: skip
QUICK: tuple[Fault, ...] = (kill_node, crash_postgres, cut_postgres, kill_redis, flush_redis, cut_redis)
OF_A_NODE = (kill_node, drain_node, stop_node, part_from_redis, part_from_postgres)
TOGETHER = 0.25


async def happen(fault: Fault, fleet: Fleet, weather: Weather) -> None:
    async with weather.spell(fault.__name__):
        await fault(fleet, weather)


async def storm(fleet: Fleet, weather: Weather, stop: float, faults: tuple[Fault, ...] = FAULTS) -> None:
    """Inject faults one after the other, sometimes one of a node with one of a server; each kind in its turn."""
    rng, deck = weather.rng, list[Fault]()
    while True:
        await trio.sleep(rng.uniform(0.5, 3))
        if trio.current_time() >= stop:
            return
        deck = deck or rng.sample(faults, len(faults))
        async with trio.open_nursery() as nursery:
            first = deck.pop()
            nursery.start_soon(happen, first, fleet, weather)
            if rng.random() < TOGETHER:
                others = [fault for fault in faults if (fault in OF_A_NODE) != (first in OF_A_NODE)]
                nursery.start_soon(happen, rng.choice(others or list(faults)), fleet, weather)


async def judged(fleet: Fleet, weather: Weather) -> None:
    """The fixed scenario: kill a node, pause and restart Redis, restart Postgres, partition the network."""
    for fault in (kill_node, pause_redis_long, restart_redis, crash_postgres, part_from_redis_long):
        await trio.sleep(2)
        await happen(fault, fleet, weather)


async def pause_redis_long(fleet: Fleet, weather: Weather) -> None:
    await pause_redis(fleet, weather, 10.0)


async def restart_redis(fleet: Fleet, weather: Weather) -> None:
    await kill_redis(fleet, weather, forget=False)


async def part_from_redis_long(fleet: Fleet, weather: Weather) -> None:
    await part_from_redis(fleet, weather, 20.0)
