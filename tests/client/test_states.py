"""Changes other than new messages: edits, members, titles, and own settings. Emitted in order, once, and never lost."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatd.client.timeline import Timeline

HERE = "c"
ME, YOU = "me", "you"


def at(rev: int, *, seq: int | None = None, cursor: str = "x") -> Timeline:
    """A timeline of ME that knows one conversation."""
    timeline = Timeline({"cursor": cursor, "conversations": {HERE: [rev if seq is None else seq, rev, False]}})
    timeline.user = ME
    timeline.connected()
    timeline.states_end(cursor)
    return timeline


def page(rev: int, *, more: bool = False, **lists: Any) -> dict[str, Any]:
    return {"messages": [], "members": [], "departures": [], "rev": rev, "more": more, **lists}


def member(user: str, rev: int, *, role: str = "member", read: int = 0) -> dict[str, Any]:
    return {"user": user, "name": None, "role": role, "read_seq": read, "delivered_seq": read, "rev": rev}


def departure(user: str, rev: int, actor: str) -> dict[str, Any]:
    return {"user": user, "rev": rev, "left_at": 0, "actor": actor}


def left(user: str, rev: int, actor: str = YOU) -> dict[str, Any]:
    return {"t": "member.left", "conversation": HERE, "rev": rev, "departure": departure(user, rev, actor)}


def tags(events: list[Any]) -> list[str]:
    return [event["t"] for event in events]


# How far from the end the message is that is edited.
EDITS = {"edit": 1, "edit one before": 2, "edit an old one": 4}


class Book:
    """A conversation of the server: its state, and the rev at which each part changed last."""

    def __init__(self) -> None:
        self.rev = self.seq = 0
        self.texts: dict[int, tuple[int, str]] = {}
        self.roles: dict[str, tuple[int, str]] = {}
        self.gone: dict[str, int] = {}
        self.title = (0, "")

    def change(self, step: str) -> dict[str, Any]:
        """One more change, and its event."""
        self.rev += 1
        head = {"conversation": HERE, "rev": self.rev}
        text = f"at {self.rev}"
        if step == "title":
            self.title = (self.rev, text)
            return {
                "t": "conversation.update",
                "conversation": {"id": HERE, "seq": self.seq, "title": text},
                "rev": self.rev,
            }
        if step == "join":
            self.gone.pop(YOU, None)
            self.roles[YOU] = (self.rev, text)
            return {"t": "member.update", **head, "member": member(YOU, self.rev, role=text)}
        if step == "leave":
            self.roles.pop(YOU, None)
            self.gone[YOU] = self.rev
            return {"t": "member.left", **head, "departure": departure(YOU, self.rev, YOU)}
        if step in EDITS and self.seq >= EDITS[step]:
            seq = self.seq + 1 - EDITS[step]
            self.texts[seq] = (self.rev, text)
            return {"t": "message.update", **head, "message": self.message(seq), "change": "edit"}
        self.seq += 1
        self.texts[self.seq] = (self.rev, text)
        return {"t": "message.new", **head, "message": self.message(self.seq)}

    def message(self, seq: int) -> dict[str, Any]:
        rev, text = self.texts[seq]
        return {"seq": seq, "rev": rev, "text": text}

    def sync(self, after: int, limit: int) -> dict[str, Any]:
        """The answer of conversation.sync, in pages."""
        messages = sorted(
            (self.message(seq) for seq in self.texts if self.texts[seq][0] > after), key=lambda one: one["rev"]
        )
        edge = messages[limit - 1]["rev"] if len(messages) > limit else self.rev
        found = page(edge, more=len(messages) > limit, messages=messages[:limit])
        found["members"] = [
            member(user, rev, role=role) for user, (rev, role) in self.roles.items() if after < rev <= edge
        ]
        found["departures"] = [departure(user, rev, user) for user, rev in self.gone.items() if after < rev <= edge]
        return found | ({"info": {"title": self.title[1]}} if self.title[0] > after else {})

    def history(self, after: int, limit: int) -> list[dict[str, Any]]:
        """The answer of message.history."""
        return [self.message(seq) for seq in range(after + 1, min(after + limit, self.seq) + 1)]

    def whole(self) -> Any:
        return (
            [text for _, text in self.texts.values()],
            {user: role for user, (_, role) in self.roles.items()},
            self.title[1],
        )


class App:
    """The state of an app that only processes events."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.roles: dict[str, str] = {}
        self.title = ""

    def take(self, events: list[Any]) -> None:
        for event in events:
            if event["t"] == "message.new":
                assert event["message"]["seq"] == len(self.texts) + 1, "once, and in order"
            if event["t"] == "message.update":
                assert event["message"]["seq"] in self.texts, "known before it changes"
            if "message" in event:
                self.texts[event["message"]["seq"]] = event["message"]["text"]
            elif event["t"] == "member.update":
                self.roles[event["member"]["user"]] = event["member"]["role"]
            elif event["t"] == "member.left":
                self.roles.pop(event["departure"]["user"], None)
            elif event["t"] == "conversation.update":
                self.title = event["conversation"]["title"]

    def whole(self) -> Any:
        return list(self.texts.values()), self.roles, self.title


CHANGES = ["new", "new", *EDITS, "join", "leave", "title"]
STEPS = st.tuples(
    st.sampled_from(["live", "lost", "not delivered", "twice", "sync", "reconnect", "restart"]),
    st.sampled_from(CHANGES),
)


@given(st.lists(STEPS, max_size=40), st.integers(1, 3))
def test_app_state_equals_server_state_after_any_connection_failure(steps: list[tuple[str, str]], limit: int) -> None:
    book, app, timeline = Book(), App(), at(0)
    last: dict[str, Any] | None = None

    def sync(pages: int) -> None:
        while HERE in timeline.behind and pages:
            pages -= 1
            changes, known = book.sync(timeline.places[HERE].rev, limit), {}
            while hole := timeline.hole(HERE, changes):
                items = book.history(hole[0], limit)
                known |= {message["seq"]: message["rev"] for message in items}
                app.take(timeline.take_history(HERE, items))
            app.take(timeline.take_changes(HERE, changes, known))

    for step, change in [*steps, ("reconnect", "new")]:
        if step in ("live", "lost", "not delivered"):
            last = book.change(change)
            found = timeline.take(last) if step != "lost" else []
            if step == "not delivered" and found == [last]:
                timeline.lost(last)
            else:
                app.take(found)
        elif step == "twice" and last is not None:
            app.take(timeline.take(last))
        elif step == "sync":
            sync(1)
        elif step in ("reconnect", "restart"):
            if step == "restart":
                timeline = Timeline(timeline.position())
            timeline.connected()
            timeline.take_states([{"id": HERE, "seq": book.seq, "rev": book.rev}])
            app.take(timeline.states_end("next"))
            sync(1000)
    assert app.whole() == book.whole()


def test_members_departures_and_info_of_a_sync_become_events_in_order() -> None:
    timeline = at(3)
    timeline.take({"t": "behind", "conversation": HERE, "rev": 9})
    message = {"seq": 4, "rev": 6, "text": "x"}
    first = page(
        6, more=True, messages=[message], members=[member(YOU, 5, role="admin", read=2)], info={"title": "new"}
    )
    second = page(9, departures=[departure(YOU, 8, ME)], info={"title": "new"})
    events = timeline.take_changes(HERE, first) + timeline.take_changes(HERE, second)
    assert tags(events) == ["conversation.update", "member.update", "message.read", "message.new", "member.left"]
    assert events[0]["conversation"] == {"id": HERE, "title": "new", "seq": 4, "rev": 6}
    assert [event["rev"] for event in events] == [4, 5, 5, 6, 8]
    # An app that has taken none of it gets all of it again.
    assert timeline.position(events)["conversations"][HERE] == [3, 3, True]


def test_removal_is_emitted_once_and_the_conversation_forgotten() -> None:
    timeline = at(3)
    assert tags(timeline.take(left(YOU, 4))) == ["member.left"]
    events = timeline.take(left(ME, 5))
    assert tags(events) == ["member.left", "conversation.gone"]
    assert events[1]["reason"] == "removed"
    assert timeline.take(left(ME, 5)) == []
    assert timeline.take({"t": "conversation.gone", "conversation": HERE, "reason": "dissolved"}) == []
    assert timeline.position()["conversations"] == {}
    assert at(3).take(left(ME, 4, actor=ME))[1]["reason"] == "left"


def test_removal_before_a_missed_message_is_emitted_at_once() -> None:
    """The messages missed before it are no longer accessible."""
    timeline = at(3)
    assert timeline.take({"t": "message.new", "conversation": HERE, "rev": 6, "message": {"seq": 6, "rev": 6}}) == []
    assert tags(timeline.take(left(ME, 7))) == ["member.left", "conversation.gone"]
    assert not timeline.behind


def test_removal_while_offline_is_emitted_once() -> None:
    timeline = at(3)
    timeline.connected()
    timeline.remove_gone([HERE, "unknown"])
    assert timeline.take({"t": "conversation.gone", "conversation": HERE, "reason": "dissolved"}) == []
    events = timeline.states_end("y", {"conversations": []})
    assert [(event["t"], event["conversation"]) for event in events] == [("conversation.gone", HERE)]
    # The app has not taken it: a later client queries it, and emits its end.
    assert timeline.position(events)["conversations"] == {HERE: [0, 0, True]}


def test_member_added_again_starts_at_the_new_membership() -> None:
    timeline = at(3)
    timeline.take(left(ME, 4))
    new = {"id": HERE, "seq": 50, "rev": 62, "joined_seq": 49, "joined_rev": 60}
    assert tags(timeline.take({"t": "conversation.update", "conversation": new})) == ["conversation.update"]
    assert (timeline.places[HERE].seq, timeline.places[HERE].rev, timeline.behind) == (49, 60, {HERE})
    assert timeline.take(left(ME, 4)) == []


def test_own_changes_are_emitted_with_the_first_states() -> None:
    timeline = at(3, cursor="old")
    timeline.connected()
    mark = {"conversation": HERE, "message": "m", "seq": 1, "starred_at": 5, "hidden": False}
    state = {"id": HERE, "seq": 3, "rev": 3, "unread": 2, "settings": {"archived": True}}
    timeline.take_states([state])
    events = timeline.states_end("new", {"conversations": [state], "marks": [mark], "own": True})
    assert events == [{"t": "session.changed", "since": "old", "conversations": [state], "marks": [mark], "own": True}]
    assert timeline.position()["cursor"] == "new"
    assert timeline.position(events)["cursor"] == "old"
    timeline.connected()
    assert timeline.states_end("newer", {"conversations": [], "marks": [], "own": False}) == []


def test_states_do_not_revert_live_events() -> None:
    """They may be older than the events emitted in between."""
    timeline = at(9)
    assert timeline.take({"t": "session.behind"}) == []
    assert timeline.own_behind
    timeline.remove_gone([HERE])
    assert timeline.behind == {HERE}, "to be asked about"
    timeline.take_states([{"id": HERE, "seq": 7, "rev": 7}])
    assert timeline.states_end("y", {"conversations": []}) == [{"t": "profiles.behind"}]
    assert timeline.places[HERE].rev == 9


def test_events_of_an_unknown_conversation_wait_for_its_state() -> None:
    timeline = at(3)
    event = {"t": "message.new", "conversation": "other", "rev": 80, "message": {"seq": 70, "rev": 80}}
    assert (
        timeline.take({"t": "conversation.update", "conversation": {"id": "other", "seq": 0, "rev": 79}, "rev": 79})
        == []
    )
    assert timeline.take(event) == []
    assert timeline.own_behind
    assert "other" not in timeline.places
    timeline.take_states([{"id": "other", "seq": 70, "rev": 80, "joined_seq": 69, "joined_rev": 78}])
    assert timeline.behind == {"other"}
    assert (timeline.places["other"].seq, timeline.places["other"].rev) == (69, 78)
