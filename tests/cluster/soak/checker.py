"""The judge of messages: everybody's own log against Postgres. What is wrong is returned.

The numbers are those of the list of invariants: I1 acked is there, I2 once, I3 everybody saw it, I4 in order and without a silent
gap, I5 the same everywhere, I6 what was refused is not there, I7 who came later stands later, I8 cursors go forward, I10 few
come over the wire twice.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from chatd.store.postgres import Postgres
from tests.cluster.soak.people import ANSWER, DOWN, EVENT, UP, Frame, Group, Person, Sent

MESSAGES = """
select conversation::text, seq, id::text, sender::text, client_id, text from messages order by conversation, seq
"""
POSITIONS = """
select m.conversation::text, m.read_seq, m.delivered_seq, c.seq from members m
join conversations c on c.tenant = m.tenant and c.id = m.conversation
where m.read_seq > m.delivered_seq or m.delivered_seq > c.seq
"""
# Share of the messages over the wire that one device may get twice, over all its connections.
TWICE = 0.1
Rows = dict[str, list[Any]]


async def rows_of(db: Postgres) -> Rows:
    """All messages, by conversation, in the order of seq."""
    found: Rows = {}
    for row in await db.all(MESSAGES):
        found.setdefault(row["conversation"], []).append(row)
    return found


async def judge(db: Postgres, people: Sequence[Person], groups: Sequence[Group]) -> list[str]:
    rows = await rows_of(db)
    sent = [message for person in people for message in person.sent]
    wrong = judge_rows(rows, sent)
    wrong += [f"I8: a position is beyond its end: {tuple(row)}" for row in await db.all(POSITIONS)]
    wrong += [problem for conversation in rows for problem in judge_time(sent_to(sent, conversation))]
    for person in people:
        wrong += judge_wire(person.client.wire) + judge_told(person, rows) + judge_cursors(person)
    for group in groups:
        wrong += [problem for member in group.members for problem in judge_whole(member, group.id, rows.get(group.id, []))]
    return wrong + judge_repeats(people)


def sent_to(sent: Iterable[Sent], conversation: str) -> list[Sent]:
    return [message for message in sent if message.conversation == conversation]


def judge_rows(rows: Rows, sent: Iterable[Sent]) -> list[str]:
    """I1, I2, I5, I6. Texts of one sender in one conversation are never used again."""
    wrong = []
    by_text = {(row["conversation"], row["sender"], row["text"]): row for found in rows.values() for row in found}
    for conversation, found in rows.items():
        if [row["seq"] for row in found] != list(range(1, len(found) + 1)):
            wrong.append(f"I1: {conversation} has gaps")
    if len(by_text) != sum(map(len, rows.values())):
        wrong.append("I2: a message is there twice")
    known = set()
    for message in sent:
        key = (message.conversation, message.sender, message.text)
        known.add(key)
        row = by_text.get(key)
        if message.acked and (row is None or (row["seq"], row["id"]) != (message.seq, message.id)):
            wrong.append(f"I1: acked and lost, or something else: {message}")
        if message.refused and row is not None:
            wrong.append(f"I6: refused, and there: {message}")
    return wrong + [f"I6: never sent: {key}" for key in by_text.keys() - known]


def judge_time(sent: Iterable[Sent]) -> list[str]:
    """I7, for one conversation."""
    acked = sorted((message for message in sent if message.acked), key=lambda message: message.acked)
    top, at, wrong = 0, 0, []
    for message in sorted(acked, key=lambda message: message.invoked):
        while acked[at].acked < message.invoked:
            top = max(top, acked[at].seq)
            at += 1
        if message.seq <= top:
            wrong.append(f"I7: {message} came after {top} was acked")
    return wrong


def judge_wire(wire: Sequence[Frame]) -> list[str]:
    """I4: within a connection each change comes right after the one before; a jump is preceded by `behind`.

    An ack of something that `behind` spoke of may still come after it.
    """
    last, said = dict[str, int](), dict[str, int]()
    wrong = []
    for frame in wire:
        if frame.kind == UP:
            last, said = {}, {}
        rev = rev_of(frame)
        conversation = str((frame.body if frame.kind == EVENT else frame.command).get("conversation"))
        if rev and frame.body["t"] == "behind":
            last[conversation] = said[conversation] = rev
        elif rev > said.get(conversation, 0):
            before = last.get(conversation, rev - 1)
            if rev != before + 1:
                wrong.append(f"I4: {rev} after {before} in {conversation}; the last of it: {last_of(wire, frame, conversation)}")
            last[conversation] = rev
    return wrong


def rev_of(frame: Frame) -> int:
    """The place of a change in the order of its conversation; 0 for frames that have none."""
    if frame.kind == EVENT and "conversation" in frame.body:
        return int(frame.body.get("rev", 0))
    is_new = frame.kind == ANSWER and frame.body["t"] == "message.ack" and not frame.body["duplicate"]
    return int(frame.body["rev"]) if is_new else 0


def last_of(wire: Sequence[Frame], until: Frame, conversation: str) -> list[str]:
    """What led to it, for whoever looks for the bug."""
    end = next(number for number, frame in enumerate(wire) if frame is until) + 1
    frames = [
        frame
        for frame in wire[:end]
        if frame.kind in (UP, DOWN)
        or conversation in (frame.body.get("conversation"), frame.command.get("conversation"))
        or frame.command.get("t") == "session.sync"
    ]
    return [f"{frame.at:.3f} {frame.kind} {frame.command} {frame.body}"[:400] for frame in frames[-12:]]


def judge_told(person: Person, rows: Rows) -> list[str]:
    """I3, I5: what the app was told comes in order and is what Postgres has."""
    wrong, last = [], dict[str, int]()
    for event in person.told:
        if event["t"] != "message.new":
            continue
        message, conversation = event["message"], event["conversation"]
        seq, found = message["seq"], rows.get(conversation, [])
        if seq <= last.get(conversation, 0):
            wrong.append(f"I4: {person.user} was told {seq} after {last[conversation]}")
        last[conversation] = seq
        row = found[seq - 1] if seq <= len(found) else None
        if row is None or (row["id"], row["sender"], row["text"]) != (message["id"], message["sender"], message["text"]):
            wrong.append(f"I5: {person.user} was told {message}, which is {row}")
    return wrong


def judge_whole(person: Person, conversation: str, rows: Sequence[Any]) -> list[str]:
    """I3: a member was told everything that the others sent."""
    told = [event["message"]["seq"] for event in person.messages(conversation)]
    expected = [row["seq"] for row in rows if row["sender"] != person.user]
    if told == expected:
        return []
    missing = sorted(set(expected) - set(told))
    return [f"I3: {person.user} was told {len(told)} messages of {len(expected)}; the first missing: {missing[:5]}"]


def judge_cursors(person: Person) -> list[str]:
    """I8, as the app was told."""
    wrong, last = [], dict[tuple[str, str, str], int]()
    for event in person.told:
        if event["t"] in ("message.read", "message.delivered"):
            key = (event["t"], event["conversation"], event["user"])
            if event["seq"] < last.get(key, 0):
                wrong.append(f"I8: {key} went back from {last[key]} to {event['seq']}")
            last[key] = event["seq"]
    return wrong


def judge_repeats(people: Iterable[Person]) -> list[str]:
    """I10"""
    once, more = repeats(people)
    return [f"I10: {more} of {once} messages came over the wire twice"] if more > max(20, TWICE * once) else []


def repeats(people: Iterable[Person]) -> tuple[int, int]:
    """How many messages came over the wire, and how often one came again to the same device."""
    counts = [
        Counter(
            (frame.body["conversation"], frame.body["rev"])
            for frame in person.client.wire
            if frame.body.get("t") == "message.new"
        )
        for person in people
    ]
    return sum(map(len, counts)), sum(sum(count.values()) - len(count) for count in counts)
