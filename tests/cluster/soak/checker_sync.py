"""Check I11: events received up to any position, and `conversation.sync` from there, are complete."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from chatd.client import Client
from tests.cluster.soak.outcasts import insist
from tests.cluster.soak.people import ANSWER, Frame, Group, Person

# States of messages, including edited and deleted ones: seq, rev, id, text.
States = set[tuple[int, int, str, str | None]]


async def judge_sync(
    groups: Sequence[Group], rows: dict[str, list[Any]], rng: random.Random, positions: int
) -> list[str]:
    """Sync each member of each group from random `positions`."""
    wrong = []
    for group in groups:
        found = rows.get(group.id, [])
        for person in group.members:
            wrong += judge_seen(person, group.id, found)
            wrong += await judge_from_anywhere(person.client, group.id, found, rng, positions)
    return wrong


def judge_seen(person: Person, conversation: str, rows: Sequence[Any]) -> list[str]:
    """The device received the last state of every message, live or by a sync."""
    seen = {place for frame in person.client.wire for place in places_in(frame, conversation)}
    missing = [row for row in rows if (row["seq"], row["rev"]) not in seen]
    return (
        [f"I11: {person.user} never saw the last state of {len(missing)} messages, such as {missing[0]}"]
        if missing
        else []
    )


def places_in(frame: Frame, conversation: str) -> Iterable[tuple[int, int]]:
    """`seq` and `rev` of the messages in a frame."""
    body = frame.body
    if conversation not in (body.get("conversation"), frame.command.get("conversation")):
        return []
    if frame.kind == ANSWER and body["t"] == "message.ack":
        return [(body["seq"], body["rev"])]
    messages = (
        [body["message"]]
        if body["t"] in ("message.new", "message.update")
        else body.get("messages", body.get("items", ()))
    )
    return [(message["seq"], message["rev"]) for message in messages if "seq" in message]


async def judge_from_anywhere(
    client: Client, conversation: str, rows: Sequence[Any], rng: random.Random, positions: int
) -> list[str]:
    """A sync from a `rev` returns exactly the changes after it."""
    states: States = {(row["seq"], row["rev"], row["id"], row["text"]) for row in rows}
    wrong = []
    for _ in range(positions):
        start = rng.randint(0, max(row["rev"] for row in rows))
        expected = {state for state in states if state[1] > start}
        got = await changes_since(client, conversation, start)
        if got != expected:
            wrong.append(
                f"I11: from {start} in {conversation}: missing {expected - got}, too much {got - expected}"[:600]
            )
    return wrong


async def changes_since(client: Client, conversation: str, rev: int) -> States:
    found: States = set()
    more = True
    while more:
        page = await insist(lambda since=rev: client.call("conversation.sync", conversation=conversation, rev=since))
        found |= {(message.seq, message.rev, message.id, message.text) for message in page.messages}
        rev, more = page.rev, page.more
    return found
