"""Where this client stands in each conversation, and what has to be told to the app. Pure: no I/O, no clock.

Every durable event has a `rev`, the next one of its conversation. What comes twice is dropped; what comes too early shows a gap,
which a sync closes before anything later is told. So the app sees each message once, in the order of `seq`, whatever the
connection does. Positions only move when what lies before them has been told: a position that is saved misses nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass
class Place:
    """One conversation. Everything up to `rev` has been told; `seq` is the last message of it."""

    seq: int = 0
    rev: int = 0
    behind: bool = False
    held: list[Json] = field(default_factory=list)


class Timeline:
    """All conversations. `take` and `take_changes` return what is to be told, in order."""

    def __init__(self, position: Json | None = None) -> None:
        saved = (position or {}).get("conversations", {})
        self.places = {id_: Place(seq, rev) for id_, (seq, rev) in saved.items()}
        self.cursor: str | None = (position or {}).get("cursor")
        self._next_cursor: str | None = None
        self._fresh = self.cursor is None
        self._waiting: list[Json] | None = []

    @property
    def position(self) -> dict[str, Any]:
        """What to keep, so that a later client misses nothing."""
        return {
            "cursor": self.cursor,
            "conversations": {id_: [place.seq, place.rev] for id_, place in self.places.items()},
        }

    def behind(self) -> list[str]:
        """Conversations that need a sync."""
        return [id_ for id_, place in self.places.items() if place.behind]

    # --- a connection begins --------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """Hold all events until it is known which conversations changed."""
        self._waiting = []
        for place in self.places.values():
            place.held = []

    def take_states(self, states: Iterable[Json]) -> None:
        """Positions from session.sync. The first time ever they are simply ours; later a higher rev means that we are behind."""
        for state in states:
            place = self.places.get(state["id"])
            if place is None and self._fresh:
                self.places[state["id"]] = Place(state["seq"], state["rev"])
            elif place is None:
                self.places[state["id"]] = Place(behind=True)
            elif state["rev"] > place.rev:
                place.behind = True

    def states_end(self, cursor: str) -> list[Json]:
        """All states have come. Returns the events that waited for it."""
        self._fresh = False
        self._next_cursor = cursor
        waiting, self._waiting = self._waiting or [], None
        self._keep_cursor()
        return [event for waited in waiting for event in self.take(waited)]

    def _keep_cursor(self) -> None:
        """A cursor counts once everything before it has been told."""
        if self._next_cursor is not None and not self.behind():
            self.cursor, self._next_cursor = self._next_cursor, None

    # --- events ---------------------------------------------------------------------------------------------------------

    def take(self, event: Json) -> list[Json]:
        """A live event. Returns what to tell now: it, or nothing because it is known, or has to wait for a sync."""
        if self._waiting is not None and "conversation" in event:
            self._waiting.append(event)
            return []
        if event["t"] == "conversation.update":
            return self._take_update(event)
        if event["t"] == "behind":
            self._place(event["conversation"]).behind = True
            return []
        if "rev" not in event or "conversation" not in event:
            return [event]
        return self._take_durable(event)

    def _place(self, id_: str) -> Place:
        return self.places.setdefault(id_, Place())

    def _take_update(self, event: Json) -> list[Json]:
        """A new conversation, or news about one that are not messages."""
        self.learn(event["conversation"])
        return [event]

    def learn(self, conversation: Json) -> None:
        """A conversation that may be new. One without messages has nothing to catch up with."""
        if conversation["id"] not in self.places:
            new = conversation["seq"] == 0
            self.places[conversation["id"]] = Place(rev=conversation["rev"]) if new else Place(behind=True)

    def _take_durable(self, event: Json) -> list[Json]:
        place = self._place(event["conversation"])
        if event["rev"] <= place.rev:
            return []
        if place.behind or event["rev"] > place.rev + 1:
            place.behind = True
            place.held.append(event)
            return []
        self._advance(place, event)
        return [event]

    def _advance(self, place: Place, event: Json) -> None:
        place.rev = event["rev"]
        if event["t"] == "message.new":
            place.seq = event["message"]["seq"]

    def acked(self, conversation: str, seq: int, rev: int) -> None:
        """A message of our own was committed: its place in the order is taken, and there is nothing to tell."""
        place = self._place(conversation)
        if self._waiting is None and not place.behind and rev == place.rev + 1:
            place.rev, place.seq = rev, seq
        elif rev > place.rev:
            place.behind = True

    def lost(self, event: Json) -> None:
        """An event could not be told (the app does not keep up): its conversation has to be synced later."""
        place = self._place(event["conversation"])
        place.rev = min(place.rev, event["rev"] - 1)
        if event["t"] == "message.new":
            place.seq = min(place.seq, event["message"]["seq"] - 1)
        place.behind = True
        place.held = []

    # --- syncs ----------------------------------------------------------------------------------------------------------

    def take_changes(self, id_: str, changes: Json) -> list[Json]:
        """A page of conversation.sync. Returns the missed messages and receipts, then what was held and fits now."""
        place = self._place(id_)
        told = sorted([*self._missed_messages(id_, place, changes), *moved(id_, changes)], key=lambda event: int(event["rev"]))
        place.rev = max(place.rev, changes["rev"])
        if changes["more"]:
            return told
        place.behind = False
        held, place.held = place.held, []
        told += [event for kept in held for event in self._take_durable(kept)]
        self._keep_cursor()
        return told

    def _missed_messages(self, id_: str, place: Place, changes: Json) -> list[Json]:
        missed = [message for message in changes["messages"] if message["seq"] > place.seq]
        for message in missed:
            place.seq = max(place.seq, message["seq"])
        return [{"t": "message.new", "conversation": id_, "rev": message["rev"], "message": message} for message in missed]


def moved(id_: str, changes: Json) -> list[Json]:
    """Receipts that came as states of members."""
    return [
        {
            "t": "message.read" if member["read_seq"] else "message.delivered",
            "conversation": id_,
            "user": member["user"],
            "seq": member["read_seq"] or member["delivered_seq"],
            "rev": member["rev"],
        }
        for member in changes["members"]
        if member["delivered_seq"]
    ]
