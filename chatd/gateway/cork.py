"""The cork of a reactor: what one turn sends to a connection leaves in one write, at the end of the turn.

Of two users who type to each other, both are often ready in the same turn: each gets an answer and an event. A write
costs more than everything else that is done for such a command.
"""

from typing import Protocol


class Corked(Protocol):
    """A queue that holds frames back."""

    def release(self) -> None: ...


class Cork:
    """While it `is_in`, queues hold their frames back and `add` themselves; `pull` makes them write."""

    __slots__ = ("_queues", "is_in")

    def __init__(self) -> None:
        self.is_in = False
        self._queues: list[Corked] = []

    def put_in(self) -> None:
        self.is_in = True

    def add(self, queue: Corked) -> None:
        self._queues.append(queue)

    def pull(self) -> None:
        """Let all queues write."""
        self.is_in = False
        queues, self._queues = self._queues, []
        for queue in queues:
            queue.release()


# For connections that no reactor serves.
NO_CORK = Cork()
