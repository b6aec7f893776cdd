"""Who waits in which queue, found by what they are: the indexes under the match pool. Pure.

Every ticket stands in the line of its queue, and in one line for each of its tags and texts. Lines are in the order of arrival.
Whoever is shadow-banned stands in lines of their own, where nobody else looks.
"""

from collections import OrderedDict
from collections.abc import Iterator
from heapq import nlargest

from chatd.matching.criteria import Ticket

Key = tuple[str, ...]


class QueueIndex:
    """All lines of all queues."""

    def __init__(self) -> None:
        self._lines: dict[Key, OrderedDict[str, Ticket]] = {}
        self._queues: set[tuple[str, str]] = set()

    def enter(self, ticket: Ticket, *, first: bool = False) -> None:
        """At the end; or before all others, for whoever comes back and has waited before them."""
        for key in keys_of(ticket):
            line = self._lines.setdefault(key, OrderedDict())
            line[ticket.id] = ticket
            if first:
                line.move_to_end(ticket.id, last=False)
        self._note(ticket)

    def leave(self, ticket: Ticket) -> None:
        for key in keys_of(ticket):
            line = self._lines.get(key)
            if line is not None:
                line.pop(ticket.id, None)
                if not line:
                    del self._lines[key]
        self._note(ticket)

    def _note(self, ticket: Ticket) -> None:
        """Which queues there are: looking through all lines for them would take as long as there are texts and tags."""
        key = (ticket.tenant, ticket.queue)
        (self._queues.add if key in self._lines else self._queues.discard)(key)

    def length(self, tenant: str, queue: str) -> int:
        return self._length((tenant, queue))

    def _length(self, key: Key) -> int:
        return len(self._lines.get(key, ()))

    def longest(self, count: int) -> list[tuple[tuple[str, str], int]]:
        """Tenant and queue of the longest lines, and how many stand there."""
        return nlargest(count, ((key, self._length(key)) for key in self._queues), key=lambda found: found[1])

    def others(self, ticket: Ticket, *, tags: bool, newest: bool) -> Iterator[Ticket]:
        """Those among whom a partner must be, from the shortest line that has them all; with `tags` only who shares one."""
        for key in self._where(ticket, tags):
            line = self._lines.get(key, OrderedDict())
            for id_ in reversed(line) if newest else line:
                if id_ != ticket.id:
                    yield line[id_]

    def _where(self, ticket: Ticket, tags: bool) -> list[Key]:
        base = base_of(ticket)
        wanted = [(*base, "is", name, value) for name, value in ticket.accept.must.items() if isinstance(value, str)]
        if wanted:
            return [min(wanted, key=self._length)]
        return [(*base, "tag", tag) for tag in ticket.tags] if tags and ticket.tags else [base]

    def snapshot(self) -> dict[Key, set[str]]:
        """Who stands where, for comparing."""
        return {key: set(line) for key, line in self._lines.items()}


def base_of(ticket: Ticket) -> Key:
    """The line of everybody in the queue."""
    return (ticket.tenant, ticket.queue, "shadow") if ticket.shadow else (ticket.tenant, ticket.queue)


def keys_of(ticket: Ticket) -> list[Key]:
    base = base_of(ticket)
    tags = [(*base, "tag", tag) for tag in ticket.tags]
    return [base, *tags, *((*base, "is", name, value) for name, value in ticket.attributes.items() if isinstance(value, str))]
