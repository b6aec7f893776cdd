"""The timeline emits each message once and in order, however it arrives."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatd.client.backoff import Backoff
from chatd.client.timeline import MOST_HELD, Timeline

CONVERSATION = "c"


def message(number: int) -> dict[str, Any]:
    return {"seq": number, "rev": number, "client_id": str(number)}


def event(number: int) -> dict[str, Any]:
    return {"t": "message.new", "conversation": CONVERSATION, "rev": number, "message": message(number)}


def changes(after: int, top: int, limit: int) -> dict[str, Any]:
    """The server's answer to conversation.sync."""
    found = list(range(after + 1, top + 1))
    more = len(found) > limit
    found = found[:limit]
    return {
        "messages": [message(n) for n in found],
        "members": [],
        "rev": found[-1] if more else max(after, top),
        "more": more,
    }


@given(
    st.lists(st.sampled_from(["live", "lost", "twice", "sync", "reconnect", "restart"]), max_size=40), st.integers(1, 3)
)
def test_messages_are_emitted_once_and_in_order(steps: list[str], limit: int) -> None:
    timeline = Timeline()
    timeline.take_states([{"id": CONVERSATION, "seq": 0, "rev": 0}])
    timeline.states_end("first")
    top, received_events = 0, []

    def collect(events: list[Any]) -> None:
        received_events.extend(found["message"]["seq"] for found in events)

    def sync() -> None:
        while CONVERSATION in timeline.behind:
            page = changes(timeline.places[CONVERSATION].rev, top, limit)
            collect(timeline.take_changes(CONVERSATION, page))

    for step in [*steps, "reconnect"]:
        if step == "live":
            top += 1
            collect(timeline.take(event(top)))
        elif step == "lost":
            top += 1
        elif step == "twice" and top:
            collect(timeline.take(event(top)))
        elif step == "sync":
            sync()
        elif step in ("reconnect", "restart"):
            if step == "restart":
                timeline = Timeline(timeline.position())
            timeline.connected()
            timeline.take_states([{"id": CONVERSATION, "seq": top, "rev": top}])
            collect(timeline.states_end("next"))
            sync()
    assert received_events == list(range(1, top + 1))


def test_event_that_did_not_fit_the_queue_is_emitted_later() -> None:
    timeline = Timeline()
    timeline.take_states([{"id": CONVERSATION, "seq": 0, "rev": 0}])
    timeline.states_end("x")
    for number in (1, 2, 3):
        timeline.take(event(number))
    timeline.lost(event(2))
    events = timeline.take_changes(CONVERSATION, changes(timeline.places[CONVERSATION].rev, 3, 10))
    assert [found["message"]["seq"] for found in events] == [2, 3]


def test_position_contains_open_gaps() -> None:
    timeline = Timeline({"cursor": "old", "conversations": {CONVERSATION: [1, 1, False]}})
    timeline.connected()
    timeline.take_states([{"id": CONVERSATION, "seq": 5, "rev": 5}])
    timeline.states_end("new")
    assert timeline.position() == {"cursor": "new", "conversations": {CONVERSATION: [1, 1, True]}}
    assert Timeline(timeline.position()).behind == {CONVERSATION}
    events = timeline.take_changes(CONVERSATION, changes(1, 5, 100))
    assert timeline.position() == {"cursor": "new", "conversations": {CONVERSATION: [5, 5, False]}}
    assert timeline.position(events[1:]) == {"cursor": "new", "conversations": {CONVERSATION: [2, 2, True]}}


def test_events_beyond_the_held_limit_are_synced_again() -> None:
    timeline = Timeline()
    timeline.take_states([{"id": CONVERSATION, "seq": 0, "rev": 0}])
    timeline.states_end("x")
    for number in range(2, MOST_HELD + 10):
        assert timeline.take(event(number)) == []
    events = timeline.take_changes(CONVERSATION, changes(0, 1, 10))
    assert [found["rev"] for found in events] == list(range(1, MOST_HELD + 2))
    assert timeline.behind == {CONVERSATION}


def test_backoff_resets_after_a_stable_half_minute() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.next_wait(0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.connected(100)
    assert backoff.next_wait(129) == 30
    backoff.connected(200)
    assert backoff.next_wait(230) == 0.5
    assert 7 <= backoff.next_wait(231, requested_s=7) <= 7.5


def test_delivered_position_beyond_the_read_position_is_emitted() -> None:
    timeline = Timeline({"cursor": "x", "conversations": {CONVERSATION: [9, 9, True]}})
    member = {"user": "u", "read_seq": 5, "delivered_seq": 9, "rev": 10}
    events = timeline.take_changes(CONVERSATION, {"messages": [], "members": [member], "rev": 10, "more": False})
    assert [(found["t"], found["seq"]) for found in events] == [("message.read", 5), ("message.delivered", 9)]


def test_own_alias_is_known_until_the_match_is_kept_or_ended() -> None:
    timeline = Timeline()
    timeline.user = "me"
    timeline.take_states([{"id": "old", "seq": 0, "rev": 2, "alias": "mine"}, {"id": "group", "seq": 0, "rev": 1}])
    timeline.states_end("first")
    timeline.take({"t": "match.found", "conversation": "new", "alias": "other of mine"})
    assert [timeline.known_as(id_) for id_ in ("old", "group", "new")] == ["mine", "me", "other of mine"]
    later = Timeline(timeline.position())
    later.user = "me"
    assert [later.known_as(id_) for id_ in ("old", "new")] == ["mine", "other of mine"]
    later.remove_gone(["old"])
    later.states_end("second")
    later.take({"t": "match.kept", "conversation": "new"})
    assert [later.known_as(id_) for id_ in ("old", "new")] == ["me", "me"]
    later.note_conversation({"id": "new", "seq": 0, "rev": 3, "role": "member", "alias": "third"})
    later.take_states([{"id": "new", "seq": 0, "rev": 3}])
    assert later.known_as("new") == "me"
