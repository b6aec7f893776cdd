"""Where this client stands in each conversation, and what has to be told to the app. Pure: no I/O, no clock.

Every durable event has a `rev`, the next one of its conversation. What comes twice is dropped; what comes too early shows a gap,
which a sync closes before anything later is told. So the app sees each message once, in the order of `seq`, whatever the
connection does. What was returned from here but has not been taken by the app is not part of a position: a position that is
saved misses nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]

# Events that wait for the sync of their conversation; what is more than that is synced once more.
MOST_HELD = 256


@dataclass
class Place:
    """One conversation. Everything up to `rev` has been told; `seq` is the last message of it, `top` the last rev heard of."""

    seq: int = 0
    rev: int = 0
    top: int = 0
    held: list[Json] = field(default_factory=list)


class Timeline:
    """All conversations. `take` and `take_changes` return what is to be told, in order; `behind` are those that need a sync."""

    def __init__(self, position: Json | None = None) -> None:
        saved = (position or {}).get("conversations", {})
        self.places = {id_: Place(seq, rev) for id_, (seq, rev, _) in saved.items()}
        self.behind = {id_ for id_, (_, _, behind) in saved.items() if behind}
        self.cursor: str | None = (position or {}).get("cursor")
        self._fresh = self.cursor is None
        self._waiting: list[Json] | None = []
        self._resets: list[Json] = []

    def position(self, untaken: Iterable[Json] = ()) -> dict[str, Any]:
        """What to keep, so that a later client misses nothing. `untaken`: events from here that the app has not had yet."""
        kept = {id_: [place.seq, place.rev, id_ in self.behind] for id_, place in self.places.items()}
        for event in untaken:
            if is_durable(event) and conversation_of(event) in kept:
                seq, rev, _ = kept[conversation_of(event)]
                kept[conversation_of(event)] = [min(seq, seq_before(event)), min(rev, event["rev"] - 1), True]
        return {"cursor": self.cursor, "conversations": kept}

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
            elif place is None or state["rev"] > place.rev:
                self._fall_behind(state["id"], state["rev"])
            elif state["rev"] < place.rev:
                self._reset(state)

    def _reset(self, state: Json) -> None:
        """The server stands before where it was: it has been restored from a backup. Its state counts, and the app is told."""
        self.places[state["id"]] = Place(state["seq"], state["rev"])
        self._resets.append({"t": "conversation.reset", "conversation": state["id"], "seq": state["seq"]})

    def states_end(self, cursor: str) -> list[Json]:
        """All states have come. Returns the events that waited for it."""
        self._fresh = False
        self.cursor = cursor
        waiting, self._waiting = self._waiting or [], None
        resets, self._resets = self._resets, []
        return resets + [event for waited in waiting for event in self.take(waited)]

    def _place(self, id_: str) -> Place:
        return self.places.setdefault(id_, Place())

    def _fall_behind(self, id_: str, rev: int) -> Place:
        """There is something up to `rev` that was not told."""
        place = self._place(id_)
        place.top = max(place.top, rev)
        self.behind.add(id_)
        return place

    # --- events ---------------------------------------------------------------------------------------------------------

    def take(self, event: Json) -> list[Json]:
        """A live event. Returns what to tell now: it, or nothing because it is known, or has to wait for a sync."""
        if self._waiting is not None and "conversation" in event:
            self._waiting.append(event)
            return []
        if event["t"] == "behind":
            self._fall_behind(event["conversation"], event["rev"])
            return []
        if event["t"] == "conversation.update":
            self.learn(event["conversation"])
        return self._take_durable(event) if is_durable(event) else [event]

    def learn(self, conversation: Json) -> None:
        """A conversation that may be new. One without messages has nothing to catch up with."""
        if conversation["id"] in self.places:
            return
        if conversation["seq"] == 0:
            self.places[conversation["id"]] = Place(rev=conversation["rev"])
        else:
            self._fall_behind(conversation["id"], conversation["rev"])

    def _take_durable(self, event: Json) -> list[Json]:
        id_ = conversation_of(event)
        place = self._place(id_)
        if event["rev"] <= place.rev:
            return []
        if id_ in self.behind or event["rev"] > place.rev + 1:
            self._fall_behind(id_, event["rev"])
            if len(place.held) < MOST_HELD:
                place.held.append(event)
            return []
        place.rev = event["rev"]
        if event["t"] == "message.new":
            place.seq = event["message"]["seq"]
        return [event]

    def acked(self, conversation: str, seq: int, rev: int) -> None:
        """A message of our own was committed: its place in the order is taken, and there is nothing to tell."""
        place = self._place(conversation)
        if self._waiting is None and conversation not in self.behind and rev == place.rev + 1:
            place.rev, place.seq = rev, seq
        elif rev > place.rev:
            self._fall_behind(conversation, rev)

    def lost(self, event: Json) -> None:
        """An event could not be told (the app does not keep up): its conversation has to be synced later."""
        place = self._fall_behind(conversation_of(event), event["rev"])
        place.rev, place.seq = min(place.rev, event["rev"] - 1), min(place.seq, seq_before(event))

    def forget(self, id_: str) -> None:
        """A conversation that is ours no more."""
        self.behind.discard(id_)
        self.places.pop(id_, None)

    # --- syncs ----------------------------------------------------------------------------------------------------------

    def take_changes(self, id_: str, changes: Json) -> list[Json]:
        """A page of conversation.sync. Returns the missed messages and receipts, then what was held and fits now."""
        place = self._place(id_)
        told = sorted([*self._missed_messages(id_, place, changes), *moved(id_, changes)], key=lambda event: int(event["rev"]))
        place.rev = max(place.rev, changes["rev"])
        if changes["more"]:
            return told
        self.behind.discard(id_)
        held, place.held = place.held, []
        told += [event for kept in held for event in self._take_durable(kept)]
        if place.rev < place.top:
            self.behind.add(id_)
        return told

    def _missed_messages(self, id_: str, place: Place, changes: Json) -> list[Json]:
        """New ones, and what has become of those that are known."""
        told: list[Json] = []
        for message in changes["messages"]:
            tag = "message.new" if message["seq"] > place.seq else "message.update"
            told.append({"t": tag, "conversation": id_, "rev": message["rev"], "message": message})
        place.seq = max([place.seq, *(message["seq"] for message in changes["messages"])])
        return told


def is_durable(event: Json) -> bool:
    """Whether it has a place in the order of its conversation."""
    return "rev" in event and "conversation" in event


def conversation_of(event: Json) -> str:
    """Of which conversation it is: some name it, some hold it."""
    conversation = event["conversation"]
    return str(conversation["id"] if isinstance(conversation, Mapping) else conversation)


def seq_before(event: Json) -> int:
    """The last message that somebody has who lacks this event, as far as it tells."""
    return int(event["message"]["seq"]) - 1 if event["t"] == "message.new" else 2**63


def moved(id_: str, changes: Json) -> list[Json]:
    """Receipts that came as states of members: how far somebody has read, and received beyond that."""
    return [
        {"t": tag, "conversation": id_, "user": member["user"], "seq": seq, "rev": member["rev"]}
        for member in changes["members"]
        for tag, seq, known in (
            ("message.read", member["read_seq"], 0),
            ("message.delivered", member["delivered_seq"], member["read_seq"]),
        )
        if seq > known
    ]
