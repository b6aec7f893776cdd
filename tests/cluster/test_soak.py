"""A short run of `make soak`, and proof that its checks find violations."""

import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chatd.matching.event_log import Entry, LoggedEvent
from chatd.matching.pool_events import Ended, Paired, PoolEvent, Reset
from tests.cluster.soak import checker
from tests.cluster.soak.checker_known import judge_known
from tests.cluster.soak.checker_matches import calm_seconds, judge_entries
from tests.cluster.soak.checker_sync import judge_seen
from tests.cluster.soak.faults import Weather
from tests.cluster.soak.outcasts import Party, judge_outcasts
from tests.cluster.soak.people import ANSWER, DOWN, EVENT, UP, Frame, Group, Person, Sent
from tests.cluster.soak.run import SHORT, soak
from tests.reply import Reply


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_soak_run_finds_no_violation(tmp_path: Path, seed: int) -> None:
    report = await soak(tmp_path, seed, SHORT)
    assert report.wrong == []
    assert report.messages > 30
    assert report.matches
    assert report.changes
    assert report.shut_out
    assert report.spells


def event(rev: int, kind: str = "message.new") -> Frame:
    return Frame(0, EVENT, Reply(t=kind, conversation="c", rev=rev))


def event_at(at: float, rev: int, kind: str = "message.new") -> Frame:
    return Frame(at, EVENT, Reply(t=kind, conversation="c", rev=rev))


def ack(rev: int, *, duplicate: bool = False) -> Frame:
    return Frame(0, ANSWER, Reply(t="message.ack", rev=rev, duplicate=duplicate), {"conversation": "c"})


@pytest.mark.parametrize(
    ("wire", "violations"),
    [
        ([event(4), ack(5), event(6, "message.read"), event(7)], 0),
        ([event(4), event(6)], 1),
        ([event(4), ack(6)], 1),
        ([event(5), event(4)], 1),
        ([event(4), event(4)], 1),
        ([event(4), ack(2, duplicate=True), event(5)], 0),
        ([event(4), event(9, "behind"), ack(8), event(10)], 0),
        ([event(4), event(9, "behind"), event(11)], 1),
        ([event(4), Frame(0, UP, Reply()), event(9), event(10)], 0),
    ],
)
def test_an_unannounced_gap_is_found(wire: list[Frame], violations: int) -> None:
    assert len(checker.judge_wire(wire)) == violations


def row(seq: int, text: str, sender: str = "ann") -> dict[str, Any]:
    place = {"conversation": "c", "seq": seq, "id": f"id{seq}", "sender": sender, "client_id": text, "system": False}
    return {**place, "text": text}


def sent(seq: int, text: str, *, refused: str = "") -> Sent:
    return Sent("c", "ann", text, 0.0, 0.0 if refused else 1.0, seq, f"id{seq}", refused, text)


@pytest.mark.parametrize(
    ("rows", "messages", "kinds"),
    [
        ([row(1, "a"), row(2, "b")], [sent(1, "a"), sent(2, "b")], []),
        ([row(1, "a"), row(3, "b")], [sent(1, "a"), sent(3, "b")], ["I1"]),
        ([row(1, "a")], [sent(1, "a"), sent(2, "b")], ["I1"]),
        ([row(1, "a")], [sent(2, "a")], ["I1"]),
        ([row(1, "a"), row(2, "a")], [sent(2, "a")], ["I2"]),
        ([row(1, "a")], [sent(0, "a", refused="not_found")], ["I6"]),
        ([row(1, "a"), row(2, "b", "ben")], [sent(1, "a")], ["I6"]),
    ],
)
def test_postgres_is_compared_with_the_sent_messages(
    rows: list[dict[str, Any]], messages: list[Sent], kinds: list[str]
) -> None:
    assert [problem[:2] for problem in checker.judge_rows({"c": rows}, messages)] == kinds


def test_a_late_member_starts_at_a_later_rev() -> None:
    first, second = Sent("c", "ann", "a", 0.0, 1.0, 2), Sent("c", "ben", "b", 2.0, 3.0, 1)
    at_the_same_time = Sent("c", "ben", "b", 0.5, 3.0, 1)
    assert len(checker.judge_time([first, second])) == 1
    assert checker.judge_time([first, at_the_same_time]) == []


def test_the_longest_time_without_faults_is_computed() -> None:
    weather = Weather(random.Random(0), [("a", 2.0, 3.0), ("b", 2.5, 4.0), ("c", 9.0, 9.5)])
    assert (calm_seconds(weather, 0.0, 20.0), calm_seconds(weather, 0.0, 10.0), calm_seconds(weather, 2.0, 4.0)) == (
        10.5,
        5.0,
        0.0,
    )


class Wire:
    """The frames of a client, without a client."""

    def __init__(self, *frames: Frame) -> None:
        self.wire = list(frames)


def person(*frames: Frame) -> Any:
    somebody = Person.__new__(Person)
    somebody.user, somebody.client, somebody.received = "ben", Wire(*frames), [frame.body for frame in frames]  # type: ignore[assignment]
    return somebody


def new(seq: int, text: str | None, kind: str = "message.new", rev: int = 0) -> Frame:
    message = {"seq": seq, "rev": rev or seq, "id": f"id{seq}", "sender": "ann", "text": text}
    return Frame(0, EVENT, Reply(t=kind, conversation="c", rev=rev or seq, message=message))


@pytest.mark.parametrize(
    ("frames", "kinds"),
    [
        ([new(1, "a"), new(2, "b")], []),
        ([new(1, "old"), new(2, "b"), new(1, "a", "message.update", 3)], []),
        ([new(1, "a")], ["I3"]),
        ([new(2, "b"), new(1, "a")], ["I3"]),
        ([new(1, "a"), new(2, "b"), new(2, "b")], ["I3"]),
        ([new(1, "old"), new(2, "b")], ["I11"]),
    ],
)
def test_the_view_of_a_client_is_compared_with_postgres(frames: list[Frame], kinds: list[str]) -> None:
    problems = checker.judge_whole(person(*frames), "c", [row(1, "a"), row(2, "b")])
    assert [problem.partition(":")[0] for problem in problems] == kinds


def test_an_edited_message_may_have_been_delivered_before_the_edit() -> None:
    edited = Sent("c", "ann", "a", 0.0, 1.0, 1, "id1", "", "a", ["a, edited", None])
    for text, same in [("a", True), ("a, edited", True), (None, True), ("b", False)]:
        assert checker.is_same({"id": "id1", "sender": "ann", "text": text}, row(1, "a, edited"), "ann", edited) is same


@pytest.mark.parametrize(
    ("last", "violations"), [(new(2, "b", "message.update", 3), 0), (new(2, "b", "message.update", 4), 1)]
)
def test_missing_last_state_is_found(last: Frame, violations: int) -> None:
    synced = Frame(0, ANSWER, Reply(t="changes", messages=[{"seq": 1, "rev": 1}]), {"conversation": "c"})
    rows = [row(1, "a") | {"rev": 1}, row(2, "b") | {"rev": 3}]
    assert len(judge_seen(person(synced, last), "c", rows)) == violations


def test_deliveries_to_removed_members_are_found() -> None:
    blocked = Sent("c", "ben", "let me in", 0.0, 0.0, 0, "", "blocked")
    for text, acked, violations in [("hello", 0.0, 0), ("behind ben, 1", 0.0, 1), ("hello", 1.0, 1)]:
        guest = person(new(1, text))
        party = Party(None, None, None, guest, [], [replace(blocked, acked=acked)])  # type: ignore[arg-type]
        assert len(judge_outcasts([party])) == violations


@pytest.mark.parametrize(
    ("frames", "wrong"),
    [
        ([event_at(1, 3)], 0),
        ([event_at(9.9, 3, "behind")], 0),
        ([event_at(1, 2)], 1),
        ([event_at(1, 2), event_at(12, 3)], 1),
        ([Frame(3, ANSWER, Reply(t="changes", rev=3), {"conversation": "c"})], 0),
        ([Frame(3, ANSWER, Reply(t="session.state", conversations=[{"id": "c", "rev": 4}]), {})], 0),
        ([Frame(5, DOWN, Reply())], 0),
    ],
)
def test_a_missed_message_is_found(frames: list[Frame], wrong: int) -> None:
    people: Any = [SimpleNamespace(user=name, sent=[], client=SimpleNamespace(wire=[])) for name in "ab"]
    people[0].sent.append(Sent("c", "a", "x", 0.5, acked=0.5, rev=3))
    last = [] if frames[-1].kind == DOWN else [event_at(20, 0, "typing.start")]
    people[1].client.wire = [Frame(0, UP, Reply()), *frames, *last]
    assert len(judge_known([Group("c", people)], Weather(random.Random()))) == wrong
    sleeping = Weather(random.Random(), spells=[("stop_node", 0.0, 9.0)])
    assert judge_known([Group("c", people)], sleeping) == [] or frames[-1].body.get("rev") == 2


def entry(fence: int, number: int, *events: PoolEvent) -> Entry:
    return Entry(fence, number, [LoggedEvent(0, fence, event) for event in events])


PAIR, END = Paired("m", [], 0, [], {}), Ended("m", "left")


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ([entry(1, 1, PAIR), entry(1, 2, END)], 0),
        ([entry(1, 1, PAIR), entry(2, 1, Reset(), PAIR), entry(2, 2, END)], 0),
        # The owner before the snapshot is outdated.
        ([entry(2, 1, Reset()), entry(1, 9, PAIR), entry(2, 2, PAIR), entry(1, 10, END), entry(2, 3, END)], 0),
        ([entry(1, 1, PAIR), entry(1, 2, PAIR)], 1),
        ([entry(1, 1, PAIR), entry(2, 1, Reset(), PAIR), entry(2, 2, PAIR)], 1),
        ([entry(1, 1, PAIR, PAIR), entry(1, 2, END, END)], 2),
    ],
)
def test_events_that_count_twice_are_found(entries: list[Entry], wrong: int) -> None:
    assert len(judge_entries(entries)) == wrong
