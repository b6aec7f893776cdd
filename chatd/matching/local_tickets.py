"""The tickets that this node keeps: those of users connected here, and for a grace period those of users who are
not.
"""

from chatd.core.identity import UserKey
from chatd.matching.criteria import Ticket


class LocalTickets:
    """The tickets of one node.

    `active`: the user is connected here. Parked tickets: the user is not, and the ticket is kept until a time in
    milliseconds.

    The latest ticket of a user counts: ids are in the order of time.
    """

    def __init__(self) -> None:
        self.active: dict[UserKey, Ticket] = {}
        self._parked: dict[UserKey, tuple[int, Ticket]] = {}

    def get(self, user: UserKey) -> Ticket | None:
        return self.active.get(user) or self._parked.get(user, (0, None))[1]

    def parked(self) -> list[Ticket]:
        return [ticket for _, ticket in self._parked.values()]

    def is_outdated(self, ticket: Ticket) -> bool:
        """Whether a later ticket of the same user is active here."""
        known = self.active.get(ticket.user_key)
        return known is not None and known.id > ticket.id

    def activate(self, ticket: Ticket) -> None:
        """Keep a ticket whose user is connected here."""
        self._parked.pop(ticket.user_key, None)
        self.active[ticket.user_key] = ticket

    def park(self, ticket: Ticket, until: int) -> None:
        """Keep a ticket whose user is not connected here, unless a later one is parked."""
        known = self._parked.get(ticket.user_key)
        if known is None or known[1].id <= ticket.id:
            self._parked[ticket.user_key] = (until, ticket)

    def replace_parked(self, ticket: Ticket) -> None:
        """Change the parked ticket of its user; the time until which it is kept stays the same."""
        until, _ = self._parked[ticket.user_key]
        self._parked[ticket.user_key] = (until, ticket)

    def on_disconnect(self, user: UserKey, until: int) -> Ticket | None:
        """Park the active ticket of a user, and return it."""
        ticket = self.active.pop(user, None)
        if ticket is not None:
            self.park(ticket, until)
        return ticket

    def on_connect(self, user: UserKey) -> Ticket | None:
        """Remove and return the parked ticket of a user."""
        return self._parked.pop(user, (0, None))[1]

    def remove(self, user: UserKey) -> bool:
        """Remove the tickets of a user; returns whether there was one."""
        parked, active = self._parked.pop(user, None), self.active.pop(user, None)
        return bool(parked or active)

    def remove_before(self, ticket: Ticket) -> None:
        """Remove the tickets of the user that are older than this one."""
        user = ticket.user_key
        if user in self.active and self.active[user].id < ticket.id:
            del self.active[user]
        if user in self._parked and self._parked[user][1].id < ticket.id:
            del self._parked[user]

    def close(self, user: UserKey, ticket: str) -> int | None:
        """Remove the tickets of a user up to this id.

        Returns until when a removed parked ticket would have been kept; None if none was parked.
        """
        if user in self.active and self.active[user].id <= ticket:
            del self.active[user]
        until, parked = self._parked.get(user, (0, None))
        if parked is None or parked.id > ticket:
            return None
        del self._parked[user]
        return until

    def expire(self, now: int) -> None:
        for user in [user for user, (until, _) in self._parked.items() if until <= now]:
            del self._parked[user]
