"""Check one connection: every change in order, or `behind` before it, none after the end of the membership or of the
match.
"""

from typing import Any

from tests.property.room import Given

QUOTED = "quote"
# Fields of a message that only one user gets.
OWN = {"starred_at", "mine", "voted"}


class Wire:
    """The events of one connection, by conversation. `wrong` lists the violations."""

    def __init__(self, user: str) -> None:
        # The ids of the user: the user id, and the aliases in matches.
        self.own_ids = {user}
        self.wrong: list[str] = []
        # Delivered messages, and quotes with their text: conversation, seq; and the quoting message.
        self.shown: dict[tuple[str, int], str] = {}
        self._joined: dict[str, int] = {}
        self._revs: dict[str, int] = {}
        self._gone: set[str] = set()
        # Conversations of matches, by match.
        self._matches: dict[str, str] = {}

    def check_event(self, event: Given) -> None:
        """Check an event."""
        id_ = conversation_of(event)
        if event["t"] == "match.found":
            self.own_ids.add(event["alias"])
            self._matches[event["match"]] = id_
        if event["t"] == "match.ended" and event["match"] in self._matches:
            self._close(self._matches[event["match"]])
        if event["t"] == "conversation.update" and "rev" not in event:
            self._gone.discard(id_)
            self._enter(id_, event["conversation"].get("joined_rev"))
            return
        if "rev" in event:
            self._number(id_, event["rev"], event["t"])
            self._show(id_, event)
        if event["t"] == "conversation.gone" or self._is_own_end(event):
            self._close(id_)

    def answered(self, command: Given, result: Given) -> None:
        """Acks have their position in the order as well. The end of a match has none: the ack of a message that was
        committed before may follow it.
        """
        if result["t"] in ("message.ack", "message.forwarded", "poll.ack") and not result["duplicate"]:
            if command["conversation"] not in self._gone & set(self._matches.values()):
                self._number(command["conversation"], result["rev"], result["t"])
        elif result["t"] in ("conversation", "conversation.joined") and result["conversation"] is not None:
            self._gone.discard(result["conversation"]["id"])
        elif result["t"] == "session.state":
            self.own_ids.update(state["alias"] for state in result["conversations"] if "alias" in state)

    def _number(self, id_: str, rev: int, kind: str) -> None:
        if id_ in self._gone:
            self.wrong.append(f"I9: {kind} {rev} of {id_} after the end")
        last = self._revs.get(id_)
        if last is not None and kind != "behind" and rev != last + 1:
            self.wrong.append(f"I4: {kind} {rev} of {id_} after {last}")
        self._revs[id_] = rev

    def _show(self, id_: str, event: Given) -> None:
        message = event.get("message")
        if message is not None:
            self.shown[id_, message["seq"]] = f"{event['t']} {event['rev']}"
            if QUOTED in message:
                self.shown[id_, message[QUOTED]["seq"]] = f"the quote of {event['t']} {event['rev']}"
            if OWN & message.keys():
                self.wrong.append(f"somebody's own marks in {event['t']} of {id_}")
        last = event["conversation"].get("last_message") if event["t"] == "conversation.update" else None
        if last and OWN & last.keys():
            self.wrong.append(f"somebody's own marks in the last message of {id_}")

    def _is_own_end(self, event: Given) -> bool:
        return event["t"] == "member.left" and event["departure"]["user"] in self.own_ids

    def _enter(self, id_: str, joined: int | None) -> None:
        """A membership that began again, perhaps before the event of its end: earlier events were right."""
        if joined is not None and self._joined.get(id_) != joined:
            self._joined[id_] = joined
            self._forget(id_)

    def _forget(self, id_: str) -> None:
        self.shown = {place: how for place, how in self.shown.items() if place[0] != id_}

    def _close(self, id_: str) -> None:
        self._gone.add(id_)
        self._revs.pop(id_, None)
        self._forget(id_)


def conversation_of(event: Given) -> str:
    found: Any = event.get("conversation", "")
    return str(found if isinstance(found, str) else found["id"])
