"""Converts the states of a sync into the events that were missed. Pure.

A state has the present values, not the changes. So an event made from a state may repeat what the app knows, and lacks
what only the live event contains, such as the user who edited a message.
"""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def is_durable(event: Json) -> bool:
    """Whether the event has a place in the order of its conversation."""
    return "rev" in event and "conversation" in event


def conversation_of(event: Json) -> str:
    """The conversation of an event: some events name it, some contain it."""
    conversation = event["conversation"]
    return str(conversation["id"] if isinstance(conversation, Mapping) else conversation)


def seq_before(event: Json) -> int:
    """The last message that a client without this event has, as far as the event shows."""
    return int(event["message"]["seq"]) - 1 if event["t"] == "message.new" else 2**63


def missed_messages(id_: str, changes: Json, known_seq: int) -> list[Json]:
    """Events of new messages, and of changes of known ones."""
    return [
        {
            "t": "message.new" if message["seq"] > known_seq else "message.update",
            "conversation": id_,
            "rev": message["rev"],
            "message": message,
        }
        for message in changes["messages"]
    ]


def events_in_order(events: list[Json]) -> list[Json]:
    """Sort by rev, but new messages by seq: a message that was changed later keeps its place."""
    places: list[tuple[int, int, Json]] = []
    first = 2**63
    new = sorted(
        (event for event in events if event["t"] == "message.new"), key=lambda event: -int(event["message"]["seq"])
    )
    for event in new:
        first = min(first, event["rev"])
        places.append((first, int(event["message"]["seq"]), event))
    places += [(event["rev"], 2**63, event) for event in events if event["t"] != "message.new"]
    return [event for _, _, event in sorted(places, key=lambda place: place[:2])]


def missed_members(id_: str, changes: Json) -> list[Json]:
    """The states of members, their receipts, then departures."""
    events: list[Json] = []
    for member in changes["members"]:
        head = {"conversation": id_, "rev": member["rev"]}
        if "role" in member:
            events.append({"t": "member.update", **head, "member": member})
        if member["read_seq"]:
            events.append({"t": "message.read", **head, "user": member["user"], "seq": member["read_seq"]})
        if member["delivered_seq"] > member["read_seq"]:
            events.append({"t": "message.delivered", **head, "user": member["user"], "seq": member["delivered_seq"]})
    for departure in changes.get("departures", ()):
        events.append({"t": "member.left", "conversation": id_, "rev": departure["rev"], "departure": departure})
    return events


def missed_info(id_: str, changes: Json, first_rev: int, seq: int) -> list[Json]:
    """The shared state of the conversation. Its rev may be anywhere in the page, so it comes first."""
    info = changes.get("info")
    if not info:
        return []
    conversation = {"id": id_, "seq": seq, "rev": changes["rev"], **info}
    return [{"t": "conversation.update", "conversation": conversation, "rev": first_rev}]


def session_changed(since: str | None, state: Json) -> list[Json]:
    """The changes that may concern the user only: counters and settings of conversations, marks on messages, followed
    threads, other settings.
    """
    conversations = [one for one in state["conversations"] if "settings" in one]
    marks, own, threads = state.get("marks", []), bool(state.get("own")), state.get("threads", [])
    if not (conversations or marks or own or threads):
        return []
    changed = {"t": "session.changed", "since": since, "conversations": conversations, "marks": marks, "own": own}
    return [changed | ({"threads": threads} if threads else {})]


def reset_event(id_: str, seq: int) -> dict[str, Any]:
    """Makes the app drop the conversation and load its messages up to `seq` again."""
    return {"t": "conversation.reset", "conversation": id_, "seq": seq}
