"""The indexes of the match pool: waiting tickets by queue, tag and text attribute. Pure.

Every ticket is in the list of its queue, and in one list for each of its tags and text attributes. Lists are in the
order of arrival. Tickets of shadow-banned users are in separate lists, which only tickets of shadow-banned users
search.
"""

from collections import OrderedDict
from collections.abc import Iterator
from heapq import nlargest

from chatd.matching.criteria import Ticket

Key = tuple[str, ...]


class QueueIndex:
    """The waiting tickets of all queues."""

    def __init__(self) -> None:
        self._lists: dict[Key, OrderedDict[str, Ticket]] = {}
        self._queues: set[tuple[str, str]] = set()

    def add(self, ticket: Ticket, *, first: bool = False) -> None:
        """Append a ticket; with `first`, put it in front, because it has waited longest."""
        for key in keys_of(ticket):
            tickets = self._lists.setdefault(key, OrderedDict())
            tickets[ticket.id] = ticket
            if first:
                tickets.move_to_end(ticket.id, last=False)
        self._update_queues(ticket)

    def remove(self, ticket: Ticket) -> None:
        for key in keys_of(ticket):
            tickets = self._lists.get(key)
            if tickets is not None:
                tickets.pop(ticket.id, None)
                if not tickets:
                    del self._lists[key]
        self._update_queues(ticket)

    def _update_queues(self, ticket: Ticket) -> None:
        """Keep the set of queues that have tickets; searching all lists for them would cost as much as there are
        tags.
        """
        key = (ticket.tenant, ticket.queue)
        (self._queues.add if key in self._lists else self._queues.discard)(key)

    def length(self, tenant: str, queue: str) -> int:
        return self._length((tenant, queue))

    def _length(self, key: Key) -> int:
        return len(self._lists.get(key, ()))

    def longest(self, count: int) -> list[tuple[tuple[str, str], int]]:
        """Tenant and queue of the longest queues, with their lengths."""
        return nlargest(count, ((key, self._length(key)) for key in self._queues), key=lambda found: found[1])

    def candidates(self, ticket: Ticket, *, tags: bool, newest: bool) -> Iterator[Ticket]:
        """The tickets of the shortest list that must contain a partner. `tags`: only tickets that share a tag."""
        for key in self._search_keys(ticket, tags):
            tickets = self._lists.get(key, OrderedDict())
            for id_ in reversed(tickets) if newest else tickets:
                if id_ != ticket.id:
                    yield tickets[id_]

    def _search_keys(self, ticket: Ticket, tags: bool) -> list[Key]:
        base = base_of(ticket)
        required = [(*base, "is", name, value) for name, value in ticket.accept.must.items() if isinstance(value, str)]
        if required:
            return [min(required, key=self._length)]
        return [(*base, "tag", tag) for tag in ticket.tags] if tags and ticket.tags else [base]

    def snapshot(self) -> dict[Key, set[str]]:
        """The ids of the tickets in each list, for comparisons in tests."""
        return {key: set(tickets) for key, tickets in self._lists.items()}


def base_of(ticket: Ticket) -> Key:
    """The key of the list with all tickets of the queue."""
    return (ticket.tenant, ticket.queue, "shadow") if ticket.shadow else (ticket.tenant, ticket.queue)


def keys_of(ticket: Ticket) -> list[Key]:
    base = base_of(ticket)
    tags = [(*base, "tag", tag) for tag in ticket.tags]
    return [
        base,
        *tags,
        *((*base, "is", name, value) for name, value in ticket.attributes.items() if isinstance(value, str)),
    ]
