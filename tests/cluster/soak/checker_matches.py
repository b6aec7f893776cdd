"""Check matches (I13) and the event log of the pool in Redis (I14)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from typing import Any

from msgspec.structs import replace

from chatd.db.postgres import Postgres
from chatd.db.redis import Redis
from chatd.matching.event_log import Entry, EventLogReader, decode_entry, events_in_order
from chatd.matching.pool import Pool
from chatd.matching.pool_events import Ended, Paired, Queue
from tests.cluster.soak.faults import Weather
from tests.cluster.soak.people import DOWN, UP
from tests.cluster.soak.strangers import SUPERSEDED, Stranger, Talk, Wait

MATCHES = """
select m.id::text as match, m.ended_at is null as stands, m.created_at, m.ended_at,
    jsonb_object_agg(b.user_id, coalesce(p.alias, f.alias)) as aliases
from matches m
join match_members b on b.tenant = m.tenant and b.match = m.id
left join members p on p.tenant = m.tenant and p.conversation = m.conversation and p.user_id = b.user_id
left join former_members f on f.tenant = m.tenant and f.conversation = m.conversation and f.user_id = b.user_id
group by m.tenant, m.id
"""
# Seconds: for two waiting users after a fault, and until both know of an end.
WAIT, END = 10.0, 10.0
# Milliseconds that a statement may wait for another one.
LOCKED = 3000


async def judge_matches(db: Postgres, strangers: Sequence[Stranger], weather: Weather) -> list[str]:
    matches = {row["match"]: row for row in await db.all(MATCHES)}
    wrong = [problem for stranger in strangers for problem in judge_talks(stranger, matches)]
    active = Counter(user for row in matches.values() if row["stands"] for user in row["aliases"])
    wrong += [f"I13: {user} is in {count} matches" for user, count in active.items() if count > 1]
    wrong += judge_symmetry(strangers, matches, weather)
    return wrong + judge_waits(strangers, weather) + judge_ends(strangers, matches, weather)


def judge_talks(stranger: Stranger, matches: dict[str, Any]) -> list[str]:
    """A user is in one match at a time, with the right partner, and gets `match.found` once."""
    wrong = [f"I13: {stranger.user} got {match} again" for match in stranger.double if match not in matches]
    for talk in stranger.talks:
        row = matches.get(talk.match)
        if row is None or not fits(stranger, talk, row["aliases"]):
            wrong.append(f"I13: {stranger.user} got {talk}, which is {row}")
    for one, two in pairwise(stranger.talks):
        at_once = not one.over or two.found < min(one.over, one.left or one.over)
        if at_once or (one.how == SUPERSEDED and not went_before(matches.get(one.match), matches.get(two.match))):
            wrong.append(f"I13: {stranger.user} was in two matches: {one} and {two}")
    return wrong


def fits(stranger: Stranger, talk: Talk, aliases: dict[str, str | None]) -> bool:
    """Whether it is a match of two with these aliases, which no longer exist if it was kept."""
    if len(aliases) != 2 or stranger.user not in aliases:
        return False
    known = (aliases[stranger.user], aliases[partner_of(stranger, aliases)])
    return known in ((talk.alias, talk.partner), (None, None)) and talk.alias != talk.partner


def partner_of(stranger: Stranger, aliases: Iterable[str]) -> str:
    """The other user of a match."""
    return next(user for user in aliases if user != stranger.user)


def went_before(one: Any, two: Any) -> bool:
    """Whether a match ended before another began, by Postgres' times; its commit may wait for the last end."""
    return one is not None and two is not None and not one["stands"] and one["ended_at"] <= two["created_at"] + LOCKED


def was_connected(stranger: Stranger, start: float, end: float) -> bool:
    """Whether the user was connected during the whole period."""
    before = [frame.kind for frame in stranger.client.wire if frame.at < start and frame.kind in (UP, DOWN)]
    between = [frame for frame in stranger.client.wire if start <= frame.at <= end and frame.kind in (UP, DOWN)]
    return before[-1:] == [UP] and not between


def judge_symmetry(strangers: Iterable[Stranger], matches: dict[str, Any], weather: Weather) -> list[str]:
    """A user who was connected without faults gets `match.found` if the partner got it."""
    talks = {(stranger.user, talk.match): talk for stranger in strangers for talk in stranger.talks}
    by_user = {stranger.user: stranger for stranger in strangers}
    wrong = []
    for (user, match), talk in talks.items():
        other = by_user[partner_of(by_user[user], matches[match]["aliases"])]
        start, end = talk.found - 1, talk.found + 2
        if (other.user, match) not in talks and weather.is_calm(start - WAIT, end) and was_connected(other, start, end):
            wrong.append(f"I13: {user} got {match} at {talk.found}, the partner {other.user} was not")
    return wrong


def judge_waits(strangers: Iterable[Stranger], weather: Weather) -> list[str]:
    """No two users waited at the same time for long after the faults ended."""
    waits = [(stranger, wait) for stranger in strangers for wait in stranger.waits if wait.until]
    wrong = []
    for (one, first), (two, second) in combinations(waits, 2):
        start, end = max(first.since, second.since), min(first.until, second.until)
        if one is not two and end - start > WAIT and calm_seconds(weather, start, end) > WAIT:
            wrong.append(f"I13: {one.user} and {two.user} waited side by side from {start} to {end}: {first}, {second}")
    return wrong


def calm_seconds(weather: Weather, start: float, end: float) -> float:
    """The longest period without faults between two times."""
    longest = 0.0
    for _, since, until in sorted(weather.spells, key=lambda spell: spell[1]):
        longest = max(longest, min(since, end) - start)
        start = max(start, until)
    return max(longest, end - start)


def judge_ends(strangers: Sequence[Stranger], matches: dict[str, Any], weather: Weather) -> list[str]:
    """A user who stayed connected learned of the end in time."""
    by_user = {stranger.user: stranger for stranger in strangers}
    wrong = []
    for stranger in strangers:
        for talk in stranger.talks:
            partner = by_user[partner_of(stranger, matches[talk.match]["aliases"])]
            theirs = next((other for other in partner.talks if other.match == talk.match), None)
            if theirs is not None and is_late(stranger, talk, theirs, weather):
                wrong.append(f"I13: {stranger.user} learned late of the end: {talk}, {theirs}")
    return wrong


def is_late(stranger: Stranger, talk: Talk, theirs: Talk, weather: Weather) -> bool:
    if not theirs.over or theirs.how != "own":
        return False
    known = talk.over or 1e12
    start = max(theirs.over, weather.last_end(theirs.over))
    return (
        known > start + END
        and weather.is_calm(start, start + END)
        and was_connected(stranger, theirs.over, start + END)
    )


def unanswered(waits: Iterable[Wait]) -> int:
    return sum(not wait.found for wait in waits)


def judge_entries(entries: Sequence[Entry]) -> list[str]:
    """Every pair once, and its end at most once. What an owner writes after it was replaced does not count."""
    # A snapshot repeats the matches that still run, and makes earlier owners outdated.
    news = [replace(entry, events=[]) if entry.is_snapshot else entry for entry in entries]
    events = [logged.event for logged in events_in_order(news)]
    pairs = Counter(event.match for event in events if isinstance(event, Paired))
    ends = Counter(event.match for event in events if isinstance(event, Ended))
    wrong = [f"I14: {match} was paired {count} times" for match, count in pairs.items() if count > 1]
    return wrong + [f"I14: {match} ended {count} times" for match, count in ends.items() if count > 1]


async def judge_event_log(redis: Redis, stream: str, rules: dict[str, Queue]) -> list[str]:
    """Every pair once, its end at most once, and the next owner can replay the log."""
    rows = await redis.call("XRANGE", redis.key(stream), "-", "+")
    wrong = judge_entries([page for page in (decode_entry(fields) for _, fields in rows) if page is not None])
    pool = Pool(rules, lambda: "")
    try:
        for line in await EventLogReader(redis, stream).latest():
            pool.apply(line.event)
    except Exception as error:
        wrong.append(f"I14: the event log cannot be replayed: {error!r}")
    return wrong
