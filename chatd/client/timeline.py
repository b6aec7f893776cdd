"""The position of this client in each conversation, and the events to emit to the app. Pure: no I/O, no clock.

Every durable event has a `rev`, the next number of its conversation. An event that arrives twice is dropped. An event
that arrives too early shows a gap; a sync fills the gap before later events are emitted. So the app gets each message
once, in the order of `seq`, across all connections. A position contains only events that the app has taken, so a saved
position misses nothing.

The user's own changes (settings, stars, read positions in a large group) have no `rev`. They come with `session.sync`,
after each connection and after each `session.behind`, and are emitted as `session.changed`. A conversation that the
user has left is forgotten, and emitted as `conversation.gone`.

In a match all members have aliases, also the user. A match that is kept becomes an ordinary conversation whose members
have user ids, also in old messages, and no `rev` shows it. If the client missed `match.kept`, the state without an
alias shows it, and the app gets `conversation.reset`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from chatd.client.states import (
    Json,
    conversation_of,
    events_in_order,
    is_durable,
    missed_info,
    missed_members,
    missed_messages,
    reset_event,
    seq_before,
    session_changed,
)

# Events that wait for the sync of their conversation; what is more than that is synced once more.
MOST_HELD = 256
NOTHING: Mapping[int, int] = MappingProxyType({})
# Events after which session.sync has the new state of the conversation, and events that report a kept match.
ENDS_OF_MATCHES = ("match.ended", "match.kept")
REPORTS_KEPT = ("match.kept", "conversation.reset")


@dataclass
class Place:
    """The position in one conversation. Everything up to `rev` was emitted; `seq` is the last message, `top` the latest
    known rev.

    `info`: the conversation's own fields as emitted by the current sync.
    """

    seq: int = 0
    rev: int = 0
    top: int = 0
    held: list[Json] = field(default_factory=list)
    info: Json | None = None


class Timeline:
    """The positions in all conversations.

    `take` and `take_changes` return the events to emit, in order; `behind` contains the conversations that need a sync.
    """

    def __init__(self, position: Json | None = None) -> None:
        saved = (position or {}).get("conversations", {})
        self.places = {id_: Place(seq, rev) for id_, (seq, rev, _) in saved.items()}
        self.behind = {id_ for id_, (_, _, behind) in saved.items() if behind}
        self.cursor: str | None = (position or {}).get("cursor")
        self._fresh = self.cursor is None
        self._waiting: list[Json] | None = []
        self._removals: list[Json] = []
        # The user, once that is known, and how they are known in matches, by conversation.
        self.user = ""
        self._aliases: dict[str, str] = dict((position or {}).get("aliases", {}))
        # The aliases in matches that were kept, which older states and messages still have.
        self._former_aliases: dict[str, str] = {}
        # Something of the user's own may have changed.
        self.own_behind = False
        # So may profiles of others.
        self._profiles_behind = False

    def position(self, untaken: Iterable[Json] = ()) -> dict[str, Any]:
        """The state to store, with which a later client misses nothing.

        `untaken`: emitted events that the app has not taken yet.
        """
        kept = {id_: [place.seq, place.rev, id_ in self.behind] for id_, place in self.places.items()}
        aliases = dict(self._aliases)
        cursor, known = self.cursor, True
        for event in untaken:
            if event["t"] in REPORTS_KEPT and event["conversation"] in self._former_aliases:
                aliases[event["conversation"]] = self._former_aliases[event["conversation"]]
            if event["t"] == "session.changed" and known:
                cursor, known = event["since"], False
            elif event["t"] == "conversation.gone":
                # A later sync reports that the user is no longer a member.
                kept.setdefault(event["conversation"], [0, 0, True])
            elif is_durable(event) and conversation_of(event) in kept:
                seq, rev, _ = kept[conversation_of(event)]
                kept[conversation_of(event)] = [min(seq, seq_before(event)), min(rev, event["rev"] - 1), True]
        return {"cursor": cursor, "conversations": kept, **({"aliases": aliases} if aliases else {})}

    def known_as(self, conversation: str) -> str:
        """The id of this user in a conversation: the alias in a match."""
        return self._aliases.get(conversation, self.user)

    def is_own(self, conversation: str, id_: str) -> bool:
        """Whether an id in a conversation is one of this user, before or after the match was kept."""
        return id_ in (self.user, self._aliases.get(conversation), self._former_aliases.get(conversation))

    def _note_alias(self, id_: str, alias: str | None) -> None:
        """Note the alias of a match, unless it was kept since: a state may be older than `match.kept`."""
        if alias and id_ not in self._former_aliases:
            self._aliases[id_] = alias

    def _end_alias(self, id_: str) -> bool:
        """Note that a match was kept. Returns whether that is new."""
        alias = self._aliases.pop(id_, None)
        if alias is not None:
            self._former_aliases[id_] = alias
        return alias is not None

    # --- a connection begins --------------------------------------------------------------------------------------

    def connected(self) -> None:
        """Hold all events until it is known which conversations changed."""
        self._waiting = []
        for place in self.places.values():
            place.held = []

    def take_states(self, states: Sequence[Json], *, reset: bool = False) -> None:
        """Store positions from session.sync. On the first sync they are adopted; later a higher rev means that there is
        a gap.

        `reset`: these are all conversations; the known state of each is discarded, whatever its rev.
        """
        if reset:
            for id_ in self.places.keys() - {state["id"] for state in states}:
                self._removals += self.forget(id_)
        for state in states:
            self._note_alias(state["id"], state.get("alias"))
            place = self.places.get(state["id"])
            if not state.get("alias") and self._end_alias(state["id"]) and place is not None and not reset:
                self._removals.append(reset_event(state["id"], place.seq))
            if place is not None and reset:
                self._removals += self.reset(state)
            elif place is None and self._fresh:
                self.places[state["id"]] = Place(state["seq"], state["rev"])
            elif place is None:
                self._begin(state)
            elif state["rev"] > place.rev:
                self._fall_behind(state["id"], state["rev"])
            elif state["rev"] < place.rev and self._waiting is not None:
                self._removals += self.reset(state)

    def reset(self, state: Json) -> list[Json]:
        """Adopt the state of a server that was restored from a backup.

        Returns the events with which the app drops its own state.
        """
        self.places[state["id"]] = Place(state["seq"], state["rev"])
        self.behind.discard(state["id"])
        return [reset_event(state["id"], state["seq"])]

    def remove_gone(self, ids: Iterable[str]) -> None:
        """Remove conversations that the user has left.

        The list may be older than live events, so each conversation is queried from the server.
        """
        for id_ in ids:
            if self._waiting is not None:
                self._removals += self.forget(id_)
            elif id_ in self.places:
                self._fall_behind(id_, 0)

    def states_end(self, cursor: str, state: Json | None = None) -> list[Json]:
        """All states have arrived in `state`. Returns the events to emit for them, and those that waited for it."""
        changed = session_changed(self.cursor, state) if state is not None and not self._fresh else []
        self._fresh = False
        self.cursor = cursor
        waiting, self._waiting = self._waiting or [], None
        lost, self._removals = self._removals, []
        if self._profiles_behind:
            self._profiles_behind = False
            changed.append({"t": "profiles.behind"})
        return [*lost, *changed, *(event for waited in waiting for event in self.take(waited))]

    def _place(self, id_: str) -> Place:
        return self.places.setdefault(id_, Place())

    def _fall_behind(self, id_: str, rev: int) -> Place:
        """Note that something up to `rev` was not emitted."""
        place = self._place(id_)
        place.top = max(place.top, rev)
        self.behind.add(id_)
        return place

    # --- events ---------------------------------------------------------------------------------------------------

    def take(self, event: Json) -> list[Json]:
        """A live event. Returns the events to emit: this one, or none if it is known or has to wait for a sync."""
        if event["t"] == "session.behind":
            self.own_behind = self._profiles_behind = True
            return []
        if self._waiting is not None and "conversation" in event:
            self._waiting.append(event)
            return []
        if event["t"] == "conversation.gone":
            return self.forget(event["conversation"], event.get("reason", "unknown"))
        if event["t"] == "match.found":
            self._note_alias(event["conversation"], event["alias"])
        if event["t"] == "match.kept":
            self._end_alias(event["conversation"])
        if event["t"] in ENDS_OF_MATCHES:
            self.own_behind = True
        if event["t"] == "conversation.update" and not is_durable(event):
            self.note_conversation(event["conversation"])
        if event["t"] == "member.left" and self.is_own(event["conversation"], event["departure"]["user"]):
            return self._leave(event)
        if is_durable(event) and conversation_of(event) not in self.places:
            # Only session.sync knows where it begins for this user.
            self.own_behind = True
            return []
        if event["t"] == "behind":
            self._fall_behind(event["conversation"], event["rev"])
            return []
        return self._take_durable(event) if is_durable(event) else [event]

    def note_conversation(self, conversation: Json) -> None:
        """A conversation that may be new. One without messages has nothing to catch up with."""
        self._note_alias(conversation["id"], conversation.get("alias"))
        if conversation["id"] in self.places:
            return
        if conversation["seq"] == 0:
            self.places[conversation["id"]] = Place(rev=conversation["rev"])
        else:
            self._begin(conversation)

    def _begin(self, conversation: Json) -> None:
        """Sync a new conversation from the beginning of the user's membership."""
        self.places[conversation["id"]] = Place(conversation.get("joined_seq", 0), conversation.get("joined_rev", 0))
        self._fall_behind(conversation["id"], conversation["rev"])

    def _leave(self, event: Json) -> list[Json]:
        """End the membership, with its last event. Events that were missed before it are no longer accessible."""
        place = self.places.get(event["conversation"])
        if place is None or event["rev"] <= place.rev:
            return []
        departure = event["departure"]
        reason = "left" if departure["actor"] == departure["user"] else "removed"
        return [event, *self.forget(event["conversation"], reason)]

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
        """A message of this client was committed: its place in the order is known, and there is nothing to emit."""
        place = self._place(conversation)
        if self._waiting is None and conversation not in self.behind and rev == place.rev + 1:
            place.rev, place.seq = rev, seq
        elif rev > place.rev:
            self._fall_behind(conversation, rev)

    def lost(self, event: Json) -> None:
        """An event could not be emitted because the app does not keep up: its conversation needs a sync later."""
        if event["t"] == "user.updated":
            self.own_behind = self._profiles_behind = True
            return
        if not is_durable(event):
            self.own_behind = self.own_behind or event["t"] == "conversation.update"
            return
        if conversation_of(event) not in self.places:
            return
        place = self._fall_behind(conversation_of(event), event["rev"])
        place.rev, place.seq = min(place.rev, event["rev"] - 1), min(place.seq, seq_before(event))

    def forget(self, id_: str, reason: str = "unknown") -> list[Json]:
        """Forget a conversation that the user has left. Returns the events to emit, once."""
        self.behind.discard(id_)
        self._aliases.pop(id_, None)
        self._former_aliases.pop(id_, None)
        known = self.places.pop(id_, None) is not None
        return [{"t": "conversation.gone", "conversation": id_, "reason": reason}] if known else []

    # --- syncs ----------------------------------------------------------------------------------------------------

    def hole(self, id_: str, changes: Json) -> tuple[int, int] | None:
        """The seq after which messages of this page are missing, and the seq up to which.

        They were changed later and come with a later page, but are emitted in their place: see `take_history`.
        """
        place = self.places.get(id_)
        new = [message["seq"] for message in changes["messages"] if place is not None and message["seq"] > place.seq]
        return (place.seq, max(new)) if place is not None and new and max(new) - place.seq > len(new) else None

    def take_history(self, id_: str, messages: Iterable[Json]) -> list[Json]:
        """Process a page of history. Returns the new messages in their present state, in the order of seq."""
        place = self.places.get(id_)
        if place is None:
            return []
        events = [
            event for event in missed_messages(id_, {"messages": messages}, place.seq) if event["t"] == "message.new"
        ]
        place.seq = max([place.seq, *(event["message"]["seq"] for event in events)])
        return events

    def take_changes(self, id_: str, changes: Json, known: Mapping[int, int] = NOTHING) -> list[Json]:
        """Process a page of conversation.sync. Returns the missed events, then the held ones that follow.

        `known`: revs, by seq, at which messages were emitted from history.
        """
        place = self.places.get(id_)
        if place is None:
            return []
        messages = [message for message in changes["messages"] if known.get(message["seq"]) != message["rev"]]
        events = missed_messages(id_, {"messages": messages}, place.seq)
        events = events_in_order([*events, *missed_members(id_, changes)])
        first_rev = place.rev + 1
        place.seq = max([place.seq, *(message["seq"] for message in changes["messages"])])
        if changes.get("info") != place.info:
            events = missed_info(id_, changes, first_rev, place.seq) + events
        place.rev = max(place.rev, changes["rev"])
        place.info = changes.get("info") if changes["more"] else None
        if changes["more"]:
            return events
        self.behind.discard(id_)
        held, place.held = place.held, []
        events += [event for kept in held for event in self._take_durable(kept)]
        if place.rev < place.top:
            self.behind.add(id_)
        return events
