"""What one connection may hear: every change in its turn, or `behind` before it (I4), and nothing after one has gone (I9)."""

from typing import Any

from tests.property.room import Given

QUOTED = "quote"


class Wire:
    """Everything that came over one connection, conversation by conversation. `wrong` is what must not be."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.wrong: list[str] = []
        # Messages that were told, and those that were quoted with what they say: conversation, seq.
        self.shown: set[tuple[str, int]] = set()
        self._revs: dict[str, int] = {}
        self._gone: set[str] = set()

    def heard(self, event: Given) -> None:
        """An event, in its turn."""
        id_ = conversation_of(event)
        if event["t"] == "conversation.update" and "rev" not in event:
            self._gone.discard(id_)
            return
        if "rev" in event:
            self._number(id_, event["rev"], event["t"])
            self._show(id_, event)
        if event["t"] == "conversation.gone" or self._is_own_end(event):
            self._close(id_)

    def answered(self, command: Given, result: Given) -> None:
        """Acks have their place in the order as well."""
        if result["t"] in ("message.ack", "message.forwarded") and not result["duplicate"]:
            self._number(command["conversation"], result["rev"], result["t"])
        elif result["t"] in ("conversation", "conversation.joined") and result["conversation"] is not None:
            self._gone.discard(result["conversation"]["id"])

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
            self.shown.add((id_, message["seq"]))
            if QUOTED in message:
                self.shown.add((id_, message[QUOTED]["seq"]))
            if "starred_at" in message or "mine" in message:
                self.wrong.append(f"somebody's own marks in {event['t']} of {id_}")
        last = event["conversation"].get("last_message") if event["t"] == "conversation.update" else None
        if last and ("starred_at" in last or "mine" in last):
            self.wrong.append(f"somebody's own marks in the last message of {id_}")

    def _is_own_end(self, event: Given) -> bool:
        return event["t"] == "member.left" and event["departure"]["user"] == self.user

    def _close(self, id_: str) -> None:
        self._gone.add(id_)
        self._revs.pop(id_, None)
        self.shown = {place for place in self.shown if place[0] != id_}


def conversation_of(event: Given) -> str:
    found: Any = event.get("conversation", "")
    return str(found if isinstance(found, str) else found["id"])
