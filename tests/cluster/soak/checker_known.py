"""Check that connected clients learn of every acknowledged message in time, by an event or `behind`.

Time in which a node is stopped or cannot query Postgres does not count: the deadline starts when it ends.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from tests.cluster.soak.faults import Weather
from tests.cluster.soak.people import ANSWER, EVENT, UP, Frame, Group, Sent

# Seconds after the ack, and the periods in which a node is blind.
KNOWN_WITHIN = 10.0
BLIND = ("stop_node", "crash_postgres", "cut_postgres", "lock_messages", "part_from_postgres")
# The time at which the client knew of a change, and its `rev`.
Knowledge = list[tuple[float, int]]


def judge_known(groups: Iterable[Group], weather: Weather) -> list[str]:
    wrong = []
    for group in groups:
        for member in group.members:
            connections = [
                (since, until, knowledge_of(frames, group.id))
                for since, until, frames in connections_of(member.client.wire)
            ]
            for sent in (sent for other in group.members if other is not member for sent in other.sent):
                if sent.conversation == group.id and sent.acked:
                    wrong += [
                        f"E5: {member.user} did not know of {sent}"
                        for one in connections
                        if not knows(one, sent, weather)
                    ]
    return wrong


def connections_of(wire: Sequence[Frame]) -> list[tuple[float, float, list[Frame]]]:
    """The connections with their start, end and frames. An open connection ends at its last frame."""
    starts = [number for number, frame in enumerate(wire) if frame.kind == UP]
    parts = [wire[start:end] for start, end in zip(starts, [*starts[1:], len(wire)], strict=False)]
    return [(part[0].at, part[-1].at, [frame for frame in part if frame.kind in (EVENT, ANSWER)]) for part in parts]


def knowledge_of(frames: Iterable[Frame], conversation: str) -> Knowledge:
    """Up to which `rev` the client knew of the conversation, and since when."""
    found: Knowledge = []
    for frame in frames:
        rev = known_by(frame, conversation)
        if rev > (found[-1][1] if found else 0):
            found.append((frame.at, rev))
    return found


def known_by(frame: Frame, conversation: str) -> int:
    """The `rev` in a frame of the conversation; 0 for other frames."""
    body = frame.body
    if frame.kind == ANSWER and body["t"] == "session.state":
        return max((state["rev"] for state in body["conversations"] if state["id"] == conversation), default=0)
    of = body.get("conversation") if frame.kind == EVENT else frame.command.get("conversation")
    return int(body.get("rev") or 0) if of == conversation else 0


def knows(connection: tuple[float, float, Knowledge], sent: Sent, weather: Weather) -> bool:
    """Whether this connection, if it lasted long enough, delivered the message in time."""
    since, until, knowledge = connection
    end = deadline(sent.acked, weather)
    if not since < sent.acked or until < end:
        return True
    place = bisect_left(knowledge, sent.rev, key=lambda one: one[1])
    return place < len(knowledge) and knowledge[place][0] <= end


def deadline(since: float, weather: Weather) -> float:
    """The time at which the client has to know of the message."""
    end = since + KNOWN_WITHIN
    for name, began, over in sorted(weather.spells, key=lambda spell: spell[1]):
        if name in BLIND and began < end and over > since:
            end = max(end, over + KNOWN_WITHIN)
    return end
