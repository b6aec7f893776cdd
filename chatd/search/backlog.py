"""The conversations that wait for the indexer, in the order in which they are indexed."""

from collections.abc import Iterable
from itertools import islice

import trio
from msgspec import Struct

MAX_NOTED = 50_000
Place = tuple[str, str]


class Waiting(Struct):
    """`since`: when the conversation began to wait, on Trio's clock. `changes`: how many of its changes wait; an
    estimate.
    """

    since: float
    changes: int

    def after(self, indexed: int) -> "Waiting":
        """What waits after so many changes were indexed."""
        return Waiting(self.since, max(1, self.changes - indexed))


class Backlog:
    """Two queues: conversations with new messages, and those that the sweep found behind.

    `overflowed`: a notice was dropped, so only a sweep finds its conversation.
    """

    def __init__(self) -> None:
        self.overflowed = False
        self._fresh: dict[Place, Waiting] = {}
        self._behind: dict[Place, Waiting] = {}

    def __len__(self) -> int:
        return len(self._fresh) + len(self._behind)

    @property
    def has_found(self) -> bool:
        """Whether conversations wait that the sweep found."""
        return bool(self._behind)

    def note(self, place: Place, changes: int) -> None:
        """Add a conversation with new changes."""
        if place not in self._fresh and len(self._fresh) >= MAX_NOTED:
            self.overflowed = True
        else:
            add(self._fresh, place, Waiting(trio.current_time(), changes))

    def add_found(self, place: Place, changes: int) -> None:
        """Add a conversation that is behind by this number of changes."""
        self._behind.setdefault(place, Waiting(trio.current_time(), changes))

    def take(self, fresh: int, total: int) -> dict[Place, Waiting]:
        """Remove up to `total` conversations, of which up to `fresh` have new messages."""
        places = list(islice(self._fresh, fresh))
        places += islice(self._behind, total - len(places))
        found: dict[Place, Waiting] = {}
        for place in dict.fromkeys(places):
            for queue in (self._fresh, self._behind):
                if (waiting := queue.pop(place, None)) is not None:
                    add(found, place, waiting)
        return found

    def put_back(self, taken: Iterable[tuple[Place, Waiting]]) -> None:
        """Let conversations wait again, after all others, for as long as they have waited already."""
        for place, waiting in taken:
            add(self._behind, place, waiting)

    @property
    def age_s(self) -> float:
        """How long the conversation that has waited longest waits."""
        oldest = min((one.since for queue in (self._fresh, self._behind) for one in queue.values()), default=None)
        return 0.0 if oldest is None else trio.current_time() - oldest

    @property
    def changes(self) -> int:
        return sum(one.changes for queue in (self._fresh, self._behind) for one in queue.values())


def add(queue: dict[Place, Waiting], place: Place, waiting: Waiting) -> None:
    known = queue.setdefault(place, waiting)
    if known is not waiting:
        known.since = min(known.since, waiting.since)
        known.changes += waiting.changes
