"""What waits for the indexer: its order, its age, and the payloads that announce it."""

from uuid import uuid4

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from chatd.db.postgres import Postgres
from chatd.search.backlog import MAX_NOTED, Backlog
from chatd.search.index_watch import SILENCE_S, IndexStatus, IndexWatch
from chatd.search.indexer import IndexerTunables
from chatd.search.notifications import MAX_BYTES, parse, payloads
from tests.support import eventually

A, B, C = (("default", name) for name in "abc")
PLACES = st.tuples(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\0"), min_size=1, max_size=64), st.uuids().map(str)
)


async def test_announced_conversations_come_first_and_each_once(autojump_clock: trio.testing.MockClock) -> None:
    backlog = Backlog()
    backlog.add_found(A, 5)
    backlog.add_found(B, 7)
    await trio.sleep(3)
    backlog.note(C, 1)
    backlog.note(C, 1)
    backlog.note(A, 2)
    assert (len(backlog), backlog.changes, backlog.age_s) == (4, 16, 3)
    taken = backlog.take(1, 2)
    assert [(place, waiting.changes) for place, waiting in taken.items()] == [(C, 2), (A, 7)]
    assert list(backlog.take(10, 10)) == [B]
    assert not backlog


async def test_rest_of_a_conversation_waits_after_the_others(autojump_clock: trio.testing.MockClock) -> None:
    backlog = Backlog()
    backlog.note(A, 10)
    await trio.sleep(2)
    backlog.note(B, 1)
    taken = backlog.take(1, 1)
    backlog.put_back((place, waiting.after(4)) for place, waiting in taken.items())
    assert (backlog.changes, backlog.age_s) == (7, 2)
    assert list(backlog.take(1, 2)) == [B, A]


async def test_dropped_announcement_is_remembered() -> None:
    backlog = Backlog()
    for number in range(MAX_NOTED + 1):
        backlog.note(("default", str(number)), 1)
    assert len(backlog) == MAX_NOTED
    assert backlog.overflowed


def test_old_changes_shorten_the_rest() -> None:
    tunables = IndexerTunables(rest_ratio=3.0, full_speed_age_s=20.0)
    assert [tunables.rest_s(0.1, age) for age in (0.0, 10.0, 20.0, 100.0)] == [0.1 * 3, 0.1 * 1.5, 0.0, 0.0]


@given(st.dictionaries(PLACES, st.integers(1, 10**9 - 1), max_size=30))
def test_payloads_name_each_conversation_and_fit(noted: dict[tuple[str, str], int]) -> None:
    found = list(payloads(noted))
    assert dict(item for payload in found for item in parse(payload)) == noted
    assert all(len(payload.encode()) <= MAX_BYTES for payload in found)


def test_many_conversations_take_several_payloads() -> None:
    noted = {("default", str(uuid4())): 1 for _ in range(1000)}
    found = list(payloads(noted))
    assert len(found) == 6
    assert all(len(payload.encode()) <= MAX_BYTES for payload in found)
    assert dict(item for payload in found for item in parse(payload)) == noted


def test_foreign_payloads_are_skipped() -> None:
    assert list(parse("")) == list(parse("x y z\n\n1 2")) == list(parse(f"{uuid4()} -1 default")) == []


def test_index_is_behind_while_something_waits_or_nobody_indexes() -> None:
    assert IndexStatus(1.0, 0.0, 0).behind_s == 0
    assert IndexStatus(1.0, 2.0, 3).behind_s == 3
    assert IndexStatus(2 * SILENCE_S, 0.0, 0).behind_s == 2 * SILENCE_S


async def test_silent_indexer_and_its_problems_are_conditions(db: Postgres) -> None:
    watch = IndexWatch(db)
    condition = watch.condition
    silent = IndexStatus(2 * SILENCE_S)
    # An indexer that starts together with the node has not reported yet.
    watch._apply(silent, 1.0)
    assert not condition.failing
    watch._apply(silent, SILENCE_S)
    assert "no index process has reported for 30 s" in condition.cause
    watch._apply(IndexStatus(), 60.0)
    assert not condition.failing
    watch._apply(IndexStatus(problem="not today"), 60.0)
    assert condition.cause == "not today"


async def test_node_reads_the_reports(db: Postgres) -> None:
    await db.run("update search_status set reported_at = 0, waiting_changes = 7")
    watch = IndexWatch(db, poll_s=0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await eventually(lambda: watch.status.changes == 7)
        assert not watch.status.is_running
        nursery.cancel_scope.cancel()
