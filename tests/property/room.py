"""One conversation as an app keeps it, and the form of messages and quotes. Pure. See `mirror` for the rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Given = Mapping[str, Any]
# An id of no user.
NOBODY = "00000000-0000-7000-8000-000000000000"
INFO = (
    "title",
    "description",
    "picture",
    "announce",
    "disappear",
    "keep_days",
    "slow_seconds",
    "joining",
    "history",
    "requested",
)


@dataclass
class Room:
    """One conversation. It contains all changes up to `rev`; `top` is the last rev in an event.

    `alias`: the user's own id in a match; None elsewhere.
    """

    alias: str | None = None
    rev: int = 0
    top: int = 0
    kind: str = ""
    seq: int = 0
    first_seq: int = 0
    hidden_seq: int = 0
    info: Json = field(default_factory=dict)
    settings: Json = field(default_factory=dict)
    members: dict[str, Json] = field(default_factory=dict)
    departures: dict[str, Json] = field(default_factory=dict)
    messages: dict[int, Json] = field(default_factory=dict)
    # The rev of the state from which the user's own vote in a poll is known, by the seq of the message.
    voted_revs: dict[int, int] = field(default_factory=dict)

    def learn_own(self, state: Given) -> None:
        """The user's own settings, from session.sync or the answer to conversation.settings."""
        self.seq = max(self.seq, state["seq"])
        self.settings = dict(state["settings"])
        # It stays hidden until the next message.
        self.hidden_seq = state["seq"] if self.settings.pop("hidden") else -1

    def learn_info(self, state: Given) -> None:
        self.info = {name: state[name] for name in INFO}

    def put(self, message: Given) -> None:
        """A message as the user sees it."""
        known = self.messages.get(message["seq"])
        if known is None or message["rev"] >= known["rev"]:
            self.messages[message["seq"]] = dict(message)
        self.seq = max(self.seq, message["seq"])

    def update_thread(self, event: Given) -> None:
        """The new state of the root of a thread, unless it is unknown."""
        for message in self.messages.values():
            if message["id"] == event["thread"]:
                message["rev"] = event["rev"]
                message.pop("replies", None)
                message.update({"replies": event["replies"]} if event["replies"] else {})

    def put_own(self, message: Given) -> None:
        """A message with all that is the user's own, which includes their vote."""
        self.put(message)
        self.voted_revs[message["seq"]] = max(self.voted_revs.get(message["seq"], 0), message["rev"])

    def vote(self, id_: str, options: list[int], rev: int) -> None:
        """The user's own vote in a poll, as of a rev of its message."""
        for seq, message in self.messages.items():
            if message["id"] == id_ and "poll" in message and rev > self.voted_revs.get(seq, 0):
                self.voted_revs[seq] = rev
                plain = {name: value for name, value in message.items() if name != "voted"}
                self.messages[seq] = {**plain, "voted": options} if options else plain

    def drop(self, seq: int) -> None:
        self.messages.pop(seq, None)

    def move(self, user: str, delivered: int, read: int, rev: int | None = None) -> None:
        """A member has received and read up to here. Without a `rev`, only this member gets the event."""
        member = self.members.get(user)
        if member is not None:
            member["delivered_seq"] = max(member["delivered_seq"], delivered, read)
            member["read_seq"] = max(member["read_seq"], read)
            member["rev"] = member["rev"] if rev is None else rev

    def enter(self, member: Given) -> None:
        """A member as of its `rev`. Positions never go back within one membership."""
        known = self.members.get(member["user"])
        self.members[member["user"]] = dict(member)
        if known is not None and known["joined_at"] == member["joined_at"]:
            self.move(member["user"], known["delivered_seq"], known["read_seq"])
        self.departures.pop(member["user"], None)

    def leave(self, departure: Given) -> None:
        self.members.pop(departure["user"], None)
        self.departures[departure["user"]] = dict(departure)

    def own_id(self, user: str) -> str:
        """The id of the user in this conversation."""
        return self.alias or user

    def known(self, ids: Iterable[str]) -> list[str]:
        """Those of these ids that can be mentioned: members of a match, any users elsewhere."""
        return [id_ for id_ in dict.fromkeys(ids) if (id_ in self.members if self.alias else id_ != NOBODY)]


def sent(room: Room, user: str, command: Given, ack: Given) -> Json:
    """The user's own message, as other members see it."""
    mentions = room.known(command.get("mentions", ()))
    named = {"mentions": mentions} if mentions else {}
    everybody = {"mentions_everybody": True} if command.get("everybody") else {}
    return {
        "id": ack["message"],
        "seq": ack["seq"],
        "rev": ack["rev"],
        "sender": room.own_id(user),
        "client_id": command["client_id"],
        "text": command.get("text"),
        "attachments": command.get("attachments", []),
        "reply_to": command.get("reply_to"),
        "created_at": ack["created_at"],
        "meta": command.get("meta"),
        **named,
        **everybody,
        **({"thread": command["thread"]} if command.get("thread") else {}),
    }


def quoting(message: Given, messages: Iterable[Given]) -> Json:
    """The message with the present quote of the message it replies to."""
    plain = {name: value for name, value in message.items() if name != "quote"}
    if message["reply_to"] is None:
        return plain
    quotes = [quote_of(one) for one in messages if one["id"] == message["reply_to"]]
    return {**plain, "quote": quotes[0]} if quotes else plain


def quote_of(message: Given) -> Json:
    text, deleted = message["text"], "deleted_at" in message
    return {
        "message": message["id"],
        "seq": message["seq"],
        "sender": message["sender"],
        "text": text and text[:200],
        "deleted": deleted,
    }
