"""Where and when: what this node did with the last messages, stage by stage, for `chatd trace`.

It lies on the road of every message, so a stage costs one tuple in a bounded deque (about 0.1 us, and no lookup); who asks pays
with a walk through all of them, a few milliseconds. Numbers and ids only, never what somebody wrote.

An event of another node comes as raw bytes, so what was told is known by conversation and rev, not by message. Ids of
conversations are made here, and are random enough to be one of a kind among all tenants.
"""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

MOST = 10_000
# Of the receipts for one message, the first so many per answer.
MOST_RECEIPTS = 1000


class Accepted(Struct):
    """The node that a message came to. `session` is "" over REST; `batch` is how many messages were committed with it."""

    session: str
    at: int
    committed_at: int
    batch: int
    rev: int


class Told(Struct):
    """Written to so many sessions of a node; `behind`: they were told that something is missing instead."""

    at: int
    sessions: int
    behind: bool


class Moved(Struct):
    """The first receipts of a user that reach a message, as far as this node remembers."""

    user: str
    delivered_at: int
    read_at: int | None


class Trace(Struct):
    """What a node knows of a message. `published_at` is 0 when the bus was too far behind and dropped it."""

    accepted: Accepted | None = None
    order: int | None = None
    published_at: int | None = None
    told: Told | None = None
    receipts: list[Moved] = []


class Traces:
    """Call `accepted`, `given`, `told`, `skipped` and `moved` with a tuple each, as the comments say; ask `find`."""

    __slots__ = ("_accepted", "_given", "_moved", "_skipped", "_told", "accepted", "given", "moved", "skipped", "told")

    def __init__(self, most: int = MOST) -> None:
        self._accepted: deque[tuple[str, str, int, int, int, int]] = deque(maxlen=most)
        self._given: deque[tuple[str, int, int]] = deque(maxlen=most)
        self._told: deque[tuple[str, int, float, int]] = deque(maxlen=most)
        self._skipped: deque[tuple[str, int, int, float, int]] = deque(maxlen=most)
        self._moved: deque[tuple[str, str, int, int, int]] = deque(maxlen=most)
        # Message, session ("" over REST), when it came, when it was committed (both in milliseconds), size of the batch, rev.
        self.accepted = self._accepted.append
        # Conversation, rev, and how many orders for the bus there had been with it: `Bus.given`.
        self.given = self._given.append
        # Conversation, rev, seconds, sessions that it was written to.
        self.told = self._told.append
        # Conversation, first and last rev that were not told, seconds, sessions that were told `behind` instead.
        self.skipped = self._skipped.append
        # Conversation, user, position of delivered, position of read, milliseconds.
        self.moved = self._moved.append

    def find(self, message: str, conversation: str, rev: int, seq: int) -> Trace:
        """All that is known here of one message."""
        found = next((row for row in self._accepted if row[0] == message), None)
        return Trace(
            accepted=Accepted(*found[1:]) if found else None,
            order=next((order for id_, number, order in self._given if (id_, number) == (conversation, rev)), None),
            told=next(self._find_told(conversation, rev), None),
            receipts=list(self._find_moved(conversation, seq))[:MOST_RECEIPTS],
        )

    def _find_told(self, conversation: str, rev: int) -> Iterator[Told]:
        for id_, number, at, sessions in self._told:
            if (id_, number) == (conversation, rev):
                yield Told(round(at * 1000), sessions, behind=False)
        for id_, first, last, at, sessions in self._skipped:
            if id_ == conversation and first <= rev <= last:
                yield Told(round(at * 1000), sessions, behind=True)

    def _find_moved(self, conversation: str, seq: int) -> Iterator[Moved]:
        """For each user the first receipts that reach the message."""
        delivered: dict[str, int] = {}
        read: dict[str, int] = {}
        for id_, user, delivered_seq, read_seq, at in self._moved:
            if id_ == conversation:
                if delivered_seq >= seq:
                    delivered.setdefault(user, at)
                if read_seq >= seq:
                    read.setdefault(user, at)
        for user, at in delivered.items():
            yield Moved(user, at, read.get(user))
