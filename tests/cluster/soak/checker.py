"""Check the log of each client against Postgres; each function returns the violations.

The numbers are those of the list of invariants: I1 acknowledged messages exist, I2 once, I3 every member got them, I4
in order and without a silent gap, I5 the same for all, I6 refused messages do not exist, I7 later messages have later
positions, I8 cursors only advance, I10 few events are delivered twice. I9 is in `outcasts`, I11 in `checker_sync`, I13
and I14 in `checker_matches`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatd.db.postgres import Postgres
from tests.cluster.soak.people import ANSWER, DOWN, EVENT, UP, Frame, Group, Person, Sent
from tests.cluster.soak.strangers import Stranger
from tests.reply import Reply

MESSAGES = """
select conversation::text, seq, rev, id::text, sender::text, client_id, text, deleted_at is not null as deleted,
    system is not null as system
from messages order by conversation, seq
"""
POSITIONS = """
select m.conversation::text, m.read_seq, m.delivered_seq, c.seq from members m
join conversations c on c.tenant = m.tenant and c.id = m.conversation
where m.read_seq > m.delivered_seq or m.delivered_seq > c.seq
"""
# The maximum share of messages that one device may receive twice, over all its connections.
TWICE = 0.1
Rows = dict[str, list[Any]]


async def rows_of(db: Postgres) -> Rows:
    """All messages by conversation, in the order of `seq`."""
    found: Rows = {}
    for row in await db.all(MESSAGES):
        found.setdefault(row["conversation"], []).append(row)
    return found


async def judge(db: Postgres, people: Sequence[Person], groups: Sequence[Group]) -> list[str]:
    rows = await rows_of(db)
    sent = [message for person in people for message in person.sent]
    by_id = {message.id: message for message in sent if message.acked}
    wrong = judge_rows(rows, sent)
    wrong += [f"I8: a position is beyond its end: {tuple(row)}" for row in await db.all(POSITIONS)]
    wrong += [problem for conversation in rows for problem in judge_time(sent_to(sent, conversation))]
    for person in people:
        wrong += judge_wire(person.client.wire) + judge_events(person, rows, by_id) + judge_cursors(person)
    for group in groups:
        wrong += [
            problem for member in group.members for problem in judge_whole(member, group.id, rows.get(group.id, []))
        ]
    return wrong + judge_repeats(people)


def sent_to(sent: Iterable[Sent], conversation: str) -> list[Sent]:
    return [message for message in sent if message.conversation == conversation]


def judge_rows(rows: Rows, sent: Iterable[Sent]) -> list[str]:
    """Check I1, I2, I5 and I6."""
    wrong = []
    written = [row for found in rows.values() for row in found if not row["system"]]
    by_client_id = {(row["sender"], row["client_id"]): row for row in written}
    for conversation, found in rows.items():
        if [row["seq"] for row in found] != list(range(1, len(found) + 1)):
            wrong.append(f"I1: {conversation} has gaps")
    if len(by_client_id) != len(written):
        wrong.append("I2: a message is there twice")
    for message in sent:
        row = by_client_id.pop((message.sender, message.client_id), None)
        if message.acked and (row is None or (row["seq"], row["id"]) != (message.seq, message.id)):
            wrong.append(f"I1: acked and lost, or something else: {message}")
        if row is not None and not (row["conversation"] == message.conversation and message.may_say(row["text"])):
            wrong.append(f"I5: {message} became {row}")
        if message.refused and row is not None:
            wrong.append(f"I6: refused, and there: {message}")
    return wrong + [f"I6: never sent: {row}" for row in by_client_id.values()]


def judge_time(sent: Iterable[Sent]) -> list[str]:
    """Check I7 for one conversation."""
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
    """Check I4: within a connection each change follows the one before; a gap is preceded by `behind`.

    The ack of a change that `behind` covers may arrive after it.
    """
    last, highest = dict[str, int](), dict[str, int]()
    wrong = []
    for frame in wire:
        if frame.kind == UP:
            last, highest = {}, {}
        rev = rev_of(frame)
        conversation = str((frame.body if frame.kind == EVENT else frame.command).get("conversation"))
        if rev and frame.body["t"] == "behind":
            last[conversation] = highest[conversation] = rev
        elif rev > highest.get(conversation, 0):
            before = last.get(conversation, rev - 1)
            if rev != before + 1:
                wrong.append(
                    f"I4: {rev} after {before} in {conversation}; the last of it: {last_of(wire, frame, conversation)}"
                )
            last[conversation] = rev
    return wrong


def rev_of(frame: Frame) -> int:
    """The `rev` of a change; 0 for frames without one."""
    if frame.kind == EVENT and "conversation" in frame.body:
        return int(frame.body.get("rev", 0))
    is_new = frame.kind == ANSWER and frame.body["t"] == "message.ack" and not frame.body["duplicate"]
    return int(frame.body["rev"]) if is_new else 0


def last_of(wire: Sequence[Frame], until: Frame, conversation: str) -> list[str]:
    """The last frames before a violation, for the report."""
    end = next(number for number, frame in enumerate(wire) if frame is until) + 1
    frames = [
        frame
        for frame in wire[:end]
        if frame.kind in (UP, DOWN)
        or conversation in (frame.body.get("conversation"), frame.command.get("conversation"))
        or frame.command.get("t") == "session.sync"
    ]
    return [f"{frame.at:.3f} {frame.kind} {frame.command} {frame.body}"[:400] for frame in frames[-12:]]


def judge_events(person: Person, rows: Rows, sent: Mapping[str, Sent]) -> list[str]:
    """Check I3 and I5: events arrive in order and equal what Postgres has, or had before an edit. `sent` by id."""
    wrong, last = [], dict[str, int]()
    for event in person.received:
        if event["t"] != "message.new":
            continue
        message, conversation = event["message"], event["conversation"]
        seq, found = message["seq"], rows.get(conversation, [])
        if seq <= last.get(conversation, 0):
            wrong.append(f"I4: {person.user} got {seq} after {last[conversation]}")
        last[conversation] = seq
        row = found[seq - 1] if seq <= len(found) else None
        if row is None or not is_same(message, row, sender_for(person, row), sent.get(message["id"])):
            wrong.append(f"I5: {person.user} got {message}, which is {row}")
    return wrong


def sender_for(person: Person, row: Any) -> str:
    """The id by which this person knows the sender of a message: in a match the alias."""
    talks = person.talks if isinstance(person, Stranger) else []
    for talk in talks:
        if talk.conversation == row["conversation"]:
            return talk.alias if row["sender"] == person.user else talk.partner
    return str(row["sender"])


def is_same(message: Reply, row: Any, sender: str, sent: Sent | None) -> bool:
    text = message.get("text")
    is_same_text = text == row["text"] or (sent is not None and sent.may_say(text))
    return (row["id"], sender) == (message["id"], message["sender"]) and is_same_text


def judge_whole(person: Person, conversation: str, rows: Sequence[Any]) -> list[str]:
    """Check I3 and I11: a member received every message of the others, and its later changes."""
    seqs = [event["message"]["seq"] for event in person.messages(conversation)]
    expected = {row["seq"]: row["text"] for row in rows if row["sender"] != person.user}
    if seqs != list(expected):
        missing = sorted(expected.keys() - set(seqs))
        return [f"I3: {person.user} got {len(seqs)} messages of {len(expected)}; the first missing: {missing[:5]}"]
    shown = person.shown(conversation)
    stale = {seq: (shown[seq], text) for seq, text in expected.items() if shown[seq] != text}
    return [f"I11: {person.user} shows {stale} in {conversation}"[:600]] if stale else []


def judge_cursors(person: Person) -> list[str]:
    """Check I8 by the events that the client received."""
    wrong, last = [], dict[tuple[str, str, str], int]()
    for event in person.received:
        if event["t"] in ("message.read", "message.delivered"):
            key = (event["t"], event["conversation"], event["user"])
            if event["seq"] < last.get(key, 0):
                wrong.append(f"I8: {key} went back from {last[key]} to {event['seq']}")
            last[key] = event["seq"]
    return wrong


def judge_repeats(people: Iterable[Person]) -> list[str]:
    """Check I10."""
    once, more = repeats(people)
    return [f"I10: {more} of {once} messages came over the wire twice"] if more > max(20, TWICE * once) else []


def repeats(people: Iterable[Person]) -> tuple[int, int]:
    """The number of messages delivered, and of those delivered to the same device again."""
    counts = [
        Counter(
            (frame.body["conversation"], frame.body["rev"])
            for frame in person.client.wire
            if frame.body.get("t") == "message.new"
        )
        for person in people
    ]
    return sum(map(len, counts)), sum(sum(count.values()) - len(count) for count in counts)
