"""The figures of a day equal a recomputation from the rows that they are about."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace as altered_struct
from datetime import date
from typing import Any

import trio
from msgspec.structs import replace

from chatd.analytics import recorder, rollup
from chatd.analytics.days import DAY_MS, day_of, monday_of, text_of
from chatd.analytics.figures import read_cohorts, read_days
from chatd.analytics.recorder import Counters, Recorder, write_counters
from chatd.analytics.settings import AnalyticsSettings
from chatd.analytics.subsystem import ANALYTICS
from chatd.app.context import Node
from chatd.core.config import Config
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from tests.admins import administered, done
from tests.support import Daemon, altered, covers, eventually, running

MESSAGES = """
select count(*) as messages, coalesce(sum(length(text)), 0) as characters from messages where tenant = 'default' and system is null
"""
MATCHES = """
select count(*) as matches, count(*) filter (where reason <> 'kept') as ended, count(*) filter (where reason = 'kept') as kept
from matches where tenant = 'default'
"""
PAIRS = """
select count(*) as recipients, count(*) filter (where b.delivered_seq >= m.seq) as delivered,
    count(*) filter (where b.read_seq >= m.seq) as read
from messages m join members b on b.tenant = m.tenant and b.conversation = m.conversation and b.user_id <> m.sender
where m.tenant = 'default' and m.system is null
"""


@asynccontextmanager
async def recording(config: Config, ahead_ms: int = 0) -> AsyncIterator[tuple[Daemon, Node]]:
    """A daemon and its node, whose clock is this far ahead for analytics."""
    nodes: list[Node] = []

    @asynccontextmanager
    async def open_and_note(node: Node) -> AsyncIterator[None]:
        clock = node.clock
        shifted = altered_struct(node, clock=lambda: clock() + ahead_ms)
        async with ANALYTICS.open(shifted):
            nodes.append(shifted)
            yield

    async with running(administered(config), altered(altered_struct(ANALYTICS, open=open_and_note, jobs=()))) as daemon:
        yield daemon, nodes[0]


async def figures(node: Node, day: int | None = None) -> Any:
    """The figures of a day, after everything was written."""
    await node.get(Recorder).flush()
    await rollup.roll_up(node, every_ms=0)
    today = day_of(node.clock()) if day is None else day
    return (await read_days(node.db, "default", today, today))[0]


def test_weeks_begin_on_monday() -> None:
    for day in (0, 3, 4, 10, 11, 19_000, *range(20_000, 20_400)):
        first = monday_of(day)
        assert 0 <= day - first < 7
        assert date.fromisoformat(text_of(first)).weekday() == 0 if first >= 0 else first == -3


@covers("admin.analytics")
async def test_figures_of_a_day_equal_a_recomputation(config: Config) -> None:
    async with recording(config) as (daemon, node), daemon.people(4) as (alice, bob, carol, dave):
        direct = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        group = (await alice.call("conversation.create", title="g", members=[bob.user, carol.user]))["conversation"][
            "id"
        ]
        for number in range(7):
            await alice.send(direct, "é" * number or "-")
            await bob.send(group, "four")
        again = {"client_id": "00000000-0000-4000-8000-000000000001", "text": "once"}
        for _ in range(2):
            await alice.call("message.send", conversation=direct, **again)
        await bob.call("receipt.delivered", conversation=direct, seq=5)
        await bob.call("receipt.read", conversation=direct, seq=3)
        for one in (carol, dave):
            await one.call("match.find", queue="default")
        conversation = (await carol.event("match.found"))["conversation"]
        await dave.event("match.found")
        await carol.send(conversation, "hello stranger")
        await carol.call("match.leave")
        found = await figures(node)
        db = node.db
        messages, matches, pairs = await db.one(MESSAGES), await db.one(MATCHES), await db.one(PAIRS)
        assert messages is not None
        assert matches is not None
        assert pairs is not None
        assert found.messages == messages["messages"] == 16
        assert found.average_length == round(messages["characters"] / 16, 1)
        assert (found.matches, found.matches_ended, found.matches_kept) == (
            matches["matches"],
            matches["ended"],
            matches["kept"],
        )
        assert (found.active_users, found.new_users, found.weekly_users, found.monthly_users) == (4, 4, 4, 4)
        assert found.delivery_rate == round(pairs["delivered"] / pairs["recipients"], 4)
        assert found.read_rate == round(pairs["read"] / pairs["recipients"], 4)
        assert found.unread_age_s >= 0
        shown = await done(daemon, "analytics", days=1)
        assert shown["days"][0]["messages"] == 16
        assert shown["cohorts"][0]["users"] == 4
        # Nothing is counted twice. Unread messages get older in between.
        again_found = await figures(node)
        assert again_found.unread_age_s >= found.unread_age_s
        assert replace(again_found, unread_age_s=found.unread_age_s) == found


async def test_days_of_users_equal_a_model_in_any_order(db: Postgres) -> None:
    """Sessions on random days, noted in another order, several times and by two nodes at once."""
    dice, first = random.Random(7), 20_000
    users = [uuid7(number) for number in range(30)]
    for user in users:
        await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0)", user)
    sessions = [(first + dice.randrange(50), user) for user in users for _ in range(dice.randrange(8))]
    by_day: dict[int, set[str]] = {}
    for day, user in sessions:
        by_day.setdefault(day, set()).add(user)
    # In order but for neighbouring days, as of nodes that write at different times.
    days = sorted(by_day, key=lambda day: day + dice.choice((0, 0, 1.5)))
    for day in days:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(db.run, recorder.SQL.note_active, "default", day, sorted(by_day[day]))
    for row in await db.all("select day, active_users from analytics_days"):
        assert row["active_users"] == len(by_day[row["day"]])
    assert await db.value("select sum(active_users) from analytics_days") == len(set(sessions))
    last = max(days)
    for day in range(last - 20, last + 1):
        await db.run("insert into analytics_days (tenant, day) values ('default', $1) on conflict do nothing", day)
        await db.run(rollup.SQL.count_users, "default", day)
        for column, span in (("weekly_users", 7), ("monthly_users", 30)):
            expected = {user for at, users_ in by_day.items() if day - span < at <= day for user in users_}
            assert await db.value(f"select {column} from analytics_days where day = $1", day) == len(expected), (
                day,
                span,
            )
    exported = await db.one(recorder.SQL.export, "default", users[0], 1)
    assert exported is not None
    assert exported["days"] == [text_of(day) for day in sorted(by_day) if users[0] in by_day[day]]


async def test_retention_equals_a_recomputation(db: Postgres) -> None:
    dice, today = random.Random(3), 20_100
    first_days: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    users = [uuid7(number) for number in range(40)]
    for user in users:
        await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0)", user)
        first_days[user] = today - dice.randrange(60)
        seen |= {(user, first_days[user])} | {
            (user, first_days[user] + age)
            for age in (1, 2, 7, 14, 30)
            if dice.random() < 0.5 and first_days[user] + age <= today
        }
    for day in sorted({day for _, day in seen}):
        await db.run(recorder.SQL.note_active, "default", day, sorted(user for user, at in seen if at == day))
    for cohort in await read_cohorts(db, "default", 6, today):
        begin = next(day for day in range(today - 60, today + 1) if text_of(day) == cohort.week)
        members = [user for user in users if begin <= first_days[user] < begin + 7]
        assert cohort.users == len(members)
        for age, value in cohort.retention.items():
            back = [user for user in members if (user, first_days[user] + int(age)) in seen]
            if begin + 6 + int(age) >= today or not members:
                assert value is None
            else:
                assert value == round(len(back) / len(members), 4)


async def test_connected_users_are_active_on_the_next_day_as_well(config: Config) -> None:
    """Also if the clock of the node is wrong by a day."""
    async with recording(config) as (daemon, node), daemon.people(2) as (alice, _):
        counts = node.get(Recorder)
        await eventually(lambda: alice.hello)
        assert (await figures(node)).active_users == 2
        clock = node.clock
        counts._node = altered_struct(node, clock=lambda: clock() + DAY_MS)
        await counts.flush()
        tomorrow = day_of(node.clock()) + 1
        assert (await read_days(node.db, "default", tomorrow, tomorrow))[0].active_users == 2
        counts._node = node
        await counts.flush()
        assert (await figures(node)).active_users == 2


async def test_the_sample_is_bounded_and_that_of_the_lowest_ranks(db: Postgres) -> None:
    """However the messages are divided between nodes and writes."""
    dice, day = random.Random(5), 20_000
    ranks = dice.sample(range(10**9), 3500)
    for start in range(0, 3500, 500):
        counters = Counters()
        for rank in ranks[start : start + 500]:
            counters.sample(rank, uuid7(rank), 1, 1)
        await db.in_transaction(write_counters, ("default", day), counters)
    rows = await db.all("select rank from analytics_samples order by rank")
    assert [row["rank"] for row in rows] == sorted(ranks)[: recorder.MAX_SAMPLES]
    full = Counters()
    for rank in ranks:
        full.sample(rank, "", 1, 1)
    assert sorted(-one[0] for one in full.samples) == sorted(ranks)[: recorder.MAX_SAMPLES]


async def test_what_cannot_be_written_waits(config: Config) -> None:
    async with recording(config) as (daemon, node), daemon.pair() as (alice, _, conversation):
        for _ in range(3):
            await alice.send(conversation)
        await node.db.run("alter table analytics_days rename to gone")
        try:
            await node.get(Recorder).flush()
        except Exception as error:
            assert "analytics_days" in str(error)
        await node.db.run("alter table gone rename to analytics_days")
        found = await figures(node)
        assert (found.messages, found.active_users) == (3, 2)


async def test_old_figures_are_deleted(config: Config, db: Postgres) -> None:
    settings = config.get(AnalyticsSettings)
    async with recording(config) as (_, node):
        today = day_of(node.clock())
        for day in (today - settings.keep_days - 1, today - settings.keep_days, today - 4, today):
            await db.run("insert into analytics_days (tenant, day) values ('default', $1)", day)
            await db.run("insert into analytics_cohorts values ('default', $1, 0, 1)", day)
            await db.run("insert into analytics_samples values ('default', $1, 1, gen_random_uuid(), 1, 1)", day)
        await rollup.roll_up(node, every_ms=0)
        assert await db.value("select count(*) from analytics_days") == 3
        assert await db.value("select count(*) from analytics_cohorts") == 3
        assert await db.value("select count(*) from analytics_samples") == 1


async def test_nothing_is_recorded_if_disabled(config: Config, db: Postgres) -> None:
    disabled = config.using(AnalyticsSettings(enabled=False))
    async with recording(disabled) as (daemon, node), daemon.pair() as (alice, _, conversation):
        await alice.send(conversation)
        assert node.services.find(Recorder) is None
    assert await db.value("select count(*) from analytics_days") == 0


async def test_an_erasure_deletes_the_days_of_the_user_and_keeps_the_counts(config: Config) -> None:
    async with recording(config) as (daemon, node), daemon.people(2) as (alice, bob):
        assert (await figures(node)).active_users == 2
        await alice.call("me.erase", confirm=True)
        rows = await node.db.all("select user_id::text from analytics_users")
        assert [row["user_id"] for row in rows] == [bob.user]
        assert (await figures(node)).active_users == 2
