"""One run: users, strangers, faults, and then the checks."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio
import trio_asyncio

from chatd.core.config import Config, PostgresSection, RedisSection
from chatd.db.postgres import Postgres, open_postgres
from chatd.db.redis import open_redis
from chatd.matching.pairing import queue_rules
from chatd.matching.settings import PoolLogSettings
from tests.cluster.soak import checker, checker_matches
from tests.cluster.soak.checker_known import judge_known
from tests.cluster.soak.checker_sync import judge_sync
from tests.cluster.soak.faults import FAULTS, QUICK, Fault, Weather, judged, storm
from tests.cluster.soak.fleet import Fleet, open_fleet
from tests.cluster.soak.outcasts import Party, judge_outcasts
from tests.cluster.soak.people import Group, Person, come, make_group
from tests.cluster.soak.servers import Servers
from tests.cluster.soak.strangers import Stranger
from tests.support import PATIENCE

PEOPLE, GROUPS, MEMBERS, STRANGERS, PARTIES = 10, 4, 4, 8, 2
# Maximum seconds until all messages are acknowledged, until all are delivered, and until strangers match.
SETTLE, SEE, MEET = 40.0, 12.0, 10.0


@dataclass(frozen=True)
class Scenario:
    """`faults` at random for `seconds`; without them the fixed scenario, however long it takes.

    `pause`: the maximum seconds between two messages of one user in one group. `calm`: seconds without faults at the
    end. `positions`: the number of positions from which each member syncs each group.
    """

    nodes: int = 3
    seconds: float = 60.0
    faults: tuple[Fault, ...] = FAULTS
    pause: float = 0.15
    calm: float = checker_matches.WAIT + 1
    positions: int = 25


SCENARIOS = {"random": Scenario(), "judged": Scenario(nodes=4, faults=())}
SHORT = Scenario(nodes=2, seconds=5.0, faults=QUICK, calm=1.0, positions=5)


@dataclass
class Report:
    """What happened, and the violations."""

    seed: int
    messages: int = 0
    changes: int = 0
    shut_out: int = 0
    matches: int = 0
    unannounced: int = 0
    waited: int = 0
    expired: int = 0
    raw: int = 0
    twice: int = 0
    spells: list[tuple[str, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        faults = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.spells)
        text = (
            f"seed {self.seed}: {len(self.wrong)} violations; {self.messages} messages acked, {self.changes} edited or deleted, "
            f"{self.raw} over the wire, {self.twice} of them twice; {self.shut_out} times somebody was shut out; "
            f"{self.matches} matches, {self.unannounced} not announced in time, {self.waited} waits given up, {self.expired} expired"
        )
        return "\n  ".join([text, faults, *self.wrong])


async def soak(folder: Path, seed: int, scenario: Scenario) -> Report:
    rng = random.Random(seed)
    async with open_fleet(folder, scenario.nodes, rng) as fleet, trio.open_nursery() as nursery:
        people = [await nursery.start(come, fleet, Person) for _ in range(PEOPLE)]
        strangers = [await nursery.start(come, fleet, Stranger) for _ in range(STRANGERS)]
        groups = [await make_group(rng.sample(people, MEMBERS)) for _ in range(GROUPS)]
        parties = [Party(fleet, *[await nursery.start(come, fleet, Person) for _ in range(3)]) for _ in range(PARTIES)]
        weather = Weather(rng)
        wrong = []
        try:
            await live(fleet, weather, scenario, groups, strangers, parties)
        except trio.TooSlowError:
            wrong.append("not everything that was sent was settled in time")
        await last_words(fleet, weather, groups)
        wrong += weather.problems + await meet_again(strangers)
        everybody = [*people, *strangers, *(person for party in parties for person in party.people)]
        wrong += await judge_messages(fleet.servers, everybody, groups) + judge_outcasts(parties)
        wrong += judge_known(groups, weather)
        wrong += await judge_coming_back(fleet.servers, groups, rng, scenario.positions)
        wrong += await judge_matches(fleet.servers, strangers, weather) + fleet.problems()
        nursery.cancel_scope.cancel()
    return report_of(seed, everybody, strangers, parties, weather, wrong)


def report_of(
    seed: int,
    everybody: list[Person],
    strangers: list[Stranger],
    parties: list[Party],
    weather: Weather,
    wrong: list[str],
) -> Report:
    raw, twice = checker.repeats(everybody)
    return Report(
        seed=seed,
        messages=sum(bool(message.acked) for person in everybody for message in person.sent),
        matches=len({talk.match for stranger in strangers for talk in stranger.talks}),
        changes=sum(len(message.later) for person in everybody for message in person.sent),
        shut_out=sum(party.shut_out for party in parties),
        unannounced=sum(stranger.unannounced for stranger in strangers),
        waited=sum(checker_matches.unanswered(stranger.waits) for stranger in strangers),
        expired=sum(stranger.expired for stranger in strangers),
        raw=raw,
        twice=twice,
        spells=[(name, until - since) for name, since, until in weather.spells],
        wrong=wrong,
    )


async def live(
    fleet: Fleet,
    weather: Weather,
    scenario: Scenario,
    groups: list[Group],
    strangers: list[Stranger],
    parties: list[Party],
) -> None:
    """Run until the faults are over and all sent messages are settled. Raises TooSlowError."""
    over = trio.Event()
    async with trio.open_nursery() as writers, trio.open_nursery() as lives:
        for group in groups:
            for number in range(len(group.members)):
                writers.start_soon(group.write, number, weather.rng, scenario.pause, over)
        for party in parties:
            writers.start_soon(party.go_on, weather.rng, over)
        for stranger in strangers:
            lives.start_soon(stranger.live, weather.rng)
        if scenario.faults:
            await storm(fleet, weather, trio.current_time() + scenario.seconds, scenario.faults)
        else:
            await judged(fleet, weather)
        # Users who wait now may have to wait a little, but no longer.
        await trio.sleep(scenario.calm)
        lives.cancel_scope.cancel()
        over.set()
        writers.cancel_scope.deadline = trio.current_time() + SETTLE
    if writers.cancel_scope.cancelled_caught:
        raise trio.TooSlowError


async def last_words(fleet: Fleet, weather: Weather, groups: list[Group]) -> None:
    """Send messages while one node cannot read the bus, then trim the stream: no later entry reveals the gap."""
    async with weather.spell("last_words"), fleet.one() as node:
        with node.redis.broken():
            await trio.sleep(0.5)
            async with trio.open_nursery() as nursery:
                for group in groups:
                    for person in group.members:
                        nursery.start_soon(person.say, group.id, "the last word")
            fleet.servers.ask_redis("FLUSHALL")


async def meet_again(strangers: list[Stranger]) -> list[str]:
    """At the end, an even number of users without a match or a ticket all find a partner."""
    with trio.move_on_after(SETTLE) as patience:
        async with trio.open_nursery() as nursery:
            for stranger in strangers:
                nursery.start_soon(stranger.settle_down)
    if patience.cancelled_caught:
        return ["I13: somebody could not come to rest"]
    async with trio.open_nursery() as nursery:
        for stranger in strangers:
            nursery.start_soon(stranger.find, MEET)
    return [f"I13: {stranger.user} met nobody in the end" for stranger in strangers if stranger.talk is None]


async def see_all(db: Postgres, groups: Sequence[Group]) -> None:
    """Wait until every client has received everything; the checks decide whether it has."""
    rows = await checker.rows_of(db)
    with trio.move_on_after(SEE):
        while any(
            checker.judge_whole(one, group.id, rows.get(group.id, [])) for group in groups for one in group.members
        ):
            await trio.sleep(0.2)


async def judge_messages(servers: Servers, people: Sequence[Person], groups: Sequence[Group]) -> list[str]:
    """Check the messages after all clients have received everything, or had the time to."""
    async with trio_asyncio.open_loop(), open_postgres(servers.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
        await see_all(db, groups)
        return await checker.judge(db, people, groups)


async def judge_coming_back(servers: Servers, groups: Sequence[Group], rng: random.Random, positions: int) -> list[str]:
    async with trio_asyncio.open_loop(), open_postgres(servers.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
        return await judge_sync(groups, await checker.rows_of(db), rng, positions)


async def judge_matches(servers: Servers, strangers: Sequence[Stranger], weather: Weather) -> list[str]:
    async with (
        trio_asyncio.open_loop(),
        open_postgres(servers.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
        open_redis(RedisSection(timeout=PATIENCE), servers.redis.url) as redis,
    ):
        wrong = await checker_matches.judge_matches(db, strangers, weather)
        return wrong + await checker_matches.judge_event_log(redis, PoolLogSettings().stream_key, queue_rules(Config()))
