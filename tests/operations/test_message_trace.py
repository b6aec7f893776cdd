"""Traces of messages on one node: stages and times, bounded, without content."""

from chatd.realtime.hub import Hub
from chatd.realtime.message_trace import Accepted, Delivered, ReceiptTimes, Traces
from tests.realtime.test_hub import Session, attach, news


def test_trace_contains_every_stage() -> None:
    traces = Traces()
    for number in range(1, 4):
        traces.accepted((f"m{number}", "s", 10, 20, 2, number))
        traces.enqueued(("c", number, 100 + number))
        traces.delivered(("c", number, 0.03, number))
    traces.delivered(("other", 2, 9.0, 9))
    found = traces.find("m2", "c", 2, 2)
    assert (found.accepted, found.enqueued, found.delivered) == (
        Accepted("s", 10, 20, 2, 2),
        102,
        Delivered(30, 2, behind=False),
    )
    elsewhere = traces.find("unknown", "c", 7, 7)
    assert (elsewhere.accepted, elsewhere.enqueued, elsewhere.delivered, elsewhere.receipts) == (None, None, None, [])


def test_the_first_receipts_that_reach_the_message_count() -> None:
    traces = Traces()
    for user, delivered, read, at in (("a", 1, 0, 1), ("a", 3, 0, 2), ("b", 9, 9, 3), ("a", 5, 2, 4), ("a", 5, 5, 5)):
        traces.receipts(("c", user, delivered, read, at))
    traces.receipts(("other", "a", 9, 9, 0))
    assert traces.find("m", "c", 1, 3).receipts == [ReceiptTimes("a", 2, 5), ReceiptTimes("b", 3, 3)]
    assert traces.find("m", "c", 1, 2).receipts == [ReceiptTimes("a", 2, 4), ReceiptTimes("b", 3, 3)]


def test_remembered_traces_are_bounded() -> None:
    traces = Traces(max_entries=100)
    for number in range(1000):
        traces.accepted((f"m{number}", "s", 0, 0, 1, number))
        traces.delivered(("c", number, 0.0, 1))
    assert traces.find("m899", "c", 899, 899).accepted is None
    assert traces.find("m899", "c", 899, 899).delivered is None
    assert traces.find("m900", "c", 900, 900).accepted is not None
    assert traces.find("m900", "c", 900, 900).delivered is not None


async def test_the_hub_counts_sessions_that_took_it() -> None:
    hub = Hub()
    sender, reader, stuck = (Session(id_, "u") for id_ in ("sender", "reader", "stuck"))
    stuck.room = False
    for session in (sender, reader, stuck):
        attach(hub, session, ("c", 1))
    await hub.subscriptions.deliver("t", "c", news(2, exclude_session="sender"))
    delivered = hub.traces.find("m", "c", 2, 1).delivered
    assert delivered is not None
    assert (delivered.sessions, delivered.behind, stuck.closed) == (1, False, [])


async def test_a_gap_does_not_count_as_delivery_of_the_message() -> None:
    hub = Hub()
    reader = Session("reader", "u")
    attach(hub, reader, ("c", 1))
    await hub.subscriptions.deliver("t", "c", news(4))
    await hub.subscriptions.report_gap("t", "c", 3)
    found = {rev: hub.traces.find("m", "c", rev, 1).delivered for rev in (1, 2, 3, 4)}
    assert [event.behind if event else None for event in found.values()] == [None, True, True, False]


async def test_events_without_rev_are_not_traced() -> None:
    hub = Hub()
    attach(hub, Session("reader", "u"), ("c", 1))
    await hub.subscriptions.deliver("t", "c", news(ephemeral=True))
    assert hub.traces.find("m", "c", 0, 0).delivered is None


async def test_sessions_are_found_by_tenant_user_and_id() -> None:
    hub = Hub()
    for id_, user, tenant in (("1", "a", "t"), ("2", "a", "t"), ("3", "b", "t"), ("4", "a", "other")):
        attach(hub, Session(id_, user, tenant=tenant))
    asked = [("t", None, None), ("t", "a", None), ("t", None, "3"), ("t", None, "4"), ("t", "a", "3"), ("t", "c", None)]
    assert ["".join(one.id for one in hub.connections.find(*question)) for question in asked] == [
        "123",
        "12",
        "3",
        "",
        "",
        "",
    ]
