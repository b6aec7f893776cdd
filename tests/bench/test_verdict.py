"""The verdict finds every planted fault, and none in correct logs."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatd.bench.client_log import Acked, Behind, ClientLog, Connected, Disconnected, Received, Refused, Sent, Synced
from chatd.bench.verdict import Kind, judge, summary
from tests.bench.worlds import PLANTS, correct_logs

SEEDS = st.integers(0, 2**32)


@settings(max_examples=300, deadline=None)
@given(seed=SEEDS, clients=st.integers(2, 4), steps=st.integers(0, 60))
def test_correct_logs_have_no_fault(seed: int, clients: int, steps: int) -> None:
    assert judge(correct_logs(random.Random(seed), clients, steps)).faults == []


@pytest.mark.parametrize("name", PLANTS)
@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, clients=st.integers(2, 4), steps=st.integers(10, 60))
def test_a_planted_fault_is_found_and_named(name: str, seed: int, clients: int, steps: int) -> None:
    choice = random.Random(seed)
    kind, plants = PLANTS[name]
    logs = correct_logs(choice, clients, steps)
    found = list(plants(logs))
    if not found:
        return
    client_id = choice.choice(found)()
    assert [fault for fault in judge(logs).faults if fault.kind is kind and client_id in str(fault)]


@pytest.mark.parametrize("name", PLANTS)
def test_every_fault_is_planted_somewhere(name: str) -> None:
    """The test above is not empty: most logs have a place for each fault."""
    _, plants = PLANTS[name]
    fitting = [seed for seed in range(20) if list(plants(correct_logs(random.Random(seed), 3, 60)))]
    assert len(fitting) >= 5


def pair(sender: list, other: list) -> list[ClientLog]:
    begin = [Connected(0), Synced(1, "talk", 2)]
    return [ClientLog("alice", {"talk"}, [*begin, *sender]), ClientLog("bob", {"talk"}, [*begin, *other])]


def test_a_run_is_counted() -> None:
    sent = [
        Sent(2, "talk", "a"), Acked(3, "a", 1, 3), Sent(4, "talk", "b"), Refused(5, "b"),
        Sent(6, "talk", "c"), Disconnected(7),
    ]  # fmt: skip
    verdict = judge(pair(sent, [Received(3, "talk", "alice", "a", 1, 3)]))
    assert (verdict.sent, verdict.acked, verdict.refused, verdict.unknown, verdict.received) == (3, 1, 1, 1, 1)
    assert verdict.faults == []


def test_a_hole_that_no_client_explains_is_a_loss() -> None:
    sent = [Sent(2, "talk", "a"), Acked(3, "a", 1, 3), Sent(4, "talk", "c"), Acked(5, "c", 3, 5)]
    received = [Received(3, "talk", "alice", "a", 1, 3), Received(5, "talk", "alice", "c", 3, 5)]
    faults = judge(pair(sent, received)).faults
    assert {(fault.kind, fault.user, fault.seq) for fault in faults} == {(Kind.LOST, "alice", 2), (Kind.LOST, "bob", 2)}


def test_a_client_that_is_behind_must_have_what_came_before() -> None:
    sent = [Sent(2, "talk", "a"), Acked(3, "a", 1, 3), Sent(4, "talk", "b"), Acked(5, "b", 2, 4)]
    assert judge(pair(sent, [Behind(6, "talk", 4)])).faults == []
    lost = judge(pair(sent, [Received(5, "talk", "alice", "b", 2, 4), Behind(6, "talk", 5)])).faults
    assert [(fault.kind, fault.client_id) for fault in lost] == [(Kind.LOST, "a")]


def test_an_earlier_sync_does_not_cover_a_later_behind() -> None:
    sent = [Sent(2, "talk", "a"), Acked(3, "a", 1, 3)]
    assert judge(pair(sent, [Behind(4, "talk", 3), Synced(5, "talk", 2)])).faults == []
    assert summary(judge(pair(sent, [Behind(4, "talk", 3), Synced(5, "talk", 3)])).faults) == {"lost": 1}


def test_a_fault_reads_as_a_sentence() -> None:
    sent = [Sent(2, "talk", "a"), Acked(3, "a", 1, 3)]
    assert [str(fault) for fault in judge(pair(sent, [])).faults] == [
        "lost: message 1 (a) in talk, client bob: this client never received it"
    ]
