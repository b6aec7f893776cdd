"""What this node did with the latest messages, stage by stage, for `chatd trace`.

All messages pass here, so a stage costs one tuple in a bounded deque (about 0.1 us, and no lookup); a query walks
through all of them, in a few milliseconds. The tuples have numbers and ids only, never content.

Events of other nodes come encoded, so deliveries are known by conversation and rev, not by message. Ids of
conversations are unique among all tenants.
"""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

MAX_ENTRIES = 10_000
# Receipts of one message per answer.
MAX_RECEIPTS = 1000


class Accepted(Struct):
    """This node accepted the message.

    `session` is "" for a request without one; `batch` is how many messages were committed together.
    """

    session: str
    at: int
    committed_at: int
    batch: int
    rev: int


class Delivered(Struct):
    """The message was written to sessions of this node, or `behind` in place of it."""

    at: int
    sessions: int
    behind: bool


class ReceiptTimes(Struct):
    """The first receipts of a user that reach the message, as far as this node remembers."""

    user: str
    delivered_at: int
    read_at: int | None


class Trace(Struct):
    """The record of a message on one node.

    `enqueued`: see `Bus.enqueued`. `published_at` is 0 if the bus was overloaded and dropped it.
    """

    accepted: Accepted | None = None
    enqueued: int | None = None
    published_at: int | None = None
    delivered: Delivered | None = None
    receipts: list[ReceiptTimes] = []


class Traces:
    """The records of this node. `accepted`, `enqueued`, `delivered`, `skipped` and `receipts` each take a tuple, see
    the comments.
    """

    __slots__ = (
        "_accepted",
        "_delivered",
        "_enqueued",
        "_receipts",
        "_skipped",
        "accepted",
        "delivered",
        "enqueued",
        "receipts",
        "skipped",
    )

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._accepted: deque[tuple[str, str, int, int, int, int]] = deque(maxlen=max_entries)
        self._enqueued: deque[tuple[str, int, int]] = deque(maxlen=max_entries)
        self._delivered: deque[tuple[str, int, float, int]] = deque(maxlen=max_entries)
        self._skipped: deque[tuple[str, int, int, float, int]] = deque(maxlen=max_entries)
        self._receipts: deque[tuple[str, str, int, int, int]] = deque(maxlen=max_entries)
        # Message, session ("" for a request without one), when it was received and committed (in milliseconds), size of
        # the batch, rev.
        self.accepted = self._accepted.append
        # Conversation, rev, and the number of its control message: `Bus.enqueued`.
        self.enqueued = self._enqueued.append
        # Conversation, rev, when (in seconds), and the number of sessions that it was written to.
        self.delivered = self._delivered.append
        # Conversation, first and last missing rev, when (in seconds), and the number of sessions that got `behind`.
        self.skipped = self._skipped.append
        # Conversation, user, delivered position, read position, when (in milliseconds).
        self.receipts = self._receipts.append

    def find(self, message: str, conversation: str, rev: int, seq: int) -> Trace:
        """The record of a message on this node."""
        found = next((row for row in self._accepted if row[0] == message), None)
        return Trace(
            accepted=Accepted(*found[1:]) if found else None,
            enqueued=next(
                (place for id_, number, place in self._enqueued if (id_, number) == (conversation, rev)), None
            ),
            delivered=next(self._find_delivered(conversation, rev), None),
            receipts=list(self._find_receipts(conversation, seq))[:MAX_RECEIPTS],
        )

    def _find_delivered(self, conversation: str, rev: int) -> Iterator[Delivered]:
        for id_, number, at, sessions in self._delivered:
            if (id_, number) == (conversation, rev):
                yield Delivered(round(at * 1000), sessions, behind=False)
        for id_, first, last, at, sessions in self._skipped:
            if id_ == conversation and first <= rev <= last:
                yield Delivered(round(at * 1000), sessions, behind=True)

    def _find_receipts(self, conversation: str, seq: int) -> Iterator[ReceiptTimes]:
        """The first receipts of each user that reach the message."""
        delivered: dict[str, int] = {}
        read: dict[str, int] = {}
        for id_, user, delivered_seq, read_seq, at in self._receipts:
            if id_ == conversation:
                if delivered_seq >= seq:
                    delivered.setdefault(user, at)
                if read_seq >= seq:
                    read.setdefault(user, at)
        for user, at in delivered.items():
            yield ReceiptTimes(user, at, read.get(user))
