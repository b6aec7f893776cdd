"""The tickets that this node keeps: of those who are connected here, and for a while of those who are not."""

from chatd.matching.announcements import User
from chatd.matching.criteria import Ticket


def user_of(ticket: Ticket) -> User:
    return ticket.tenant, ticket.user


class LocalTickets:
    """`mine`: their users are connected here. `held`: they are not, and until when (milliseconds) the ticket is kept.

    Of two tickets of one user the later one counts: ids are in the order of time.
    """

    def __init__(self) -> None:
        self.mine: dict[User, Ticket] = {}
        self._held: dict[User, tuple[int, Ticket]] = {}

    def of(self, user: User) -> Ticket | None:
        return self.mine.get(user) or self.held(user)

    def held(self, user: User) -> Ticket | None:
        return self._held.get(user, (0, None))[1]

    def all_held(self) -> list[Ticket]:
        return [ticket for _, ticket in self._held.values()]

    def is_older(self, ticket: Ticket) -> bool:
        """Whether another one of the same user is known that came later."""
        known = self.mine.get(user_of(ticket))
        return known is not None and known.id > ticket.id

    def keep(self, ticket: Ticket) -> None:
        """Its user is here."""
        self._held.pop(user_of(ticket), None)
        self.mine[user_of(ticket)] = ticket

    def hold(self, ticket: Ticket, until: int) -> None:
        """Its user is not here."""
        user = user_of(ticket)
        known = self._held.get(user)
        if known is None or known[1].id <= ticket.id:
            self._held[user] = (until, ticket)

    def change_held(self, ticket: Ticket) -> None:
        """What is held of its user is this from now on, and as long as before."""
        until, _ = self._held[user_of(ticket)]
        self._held[user_of(ticket)] = (until, ticket)

    def lose(self, user: User, until: int) -> Ticket | None:
        """The user has gone; the ticket that is held from now on."""
        ticket = self.mine.pop(user, None)
        if ticket is not None:
            self.hold(ticket, until)
        return ticket

    def claim(self, user: User) -> Ticket | None:
        """The user has come: what was held for them."""
        return self._held.pop(user, (0, None))[1]

    def forget(self, user: User) -> bool:
        """Whether there was one."""
        held, mine = self._held.pop(user, None), self.mine.pop(user, None)
        return bool(held or mine)

    def forget_older(self, ticket: Ticket) -> None:
        """Another node has a later one of the same user."""
        user = user_of(ticket)
        if user in self.mine and self.mine[user].id < ticket.id:
            del self.mine[user]
        if user in self._held and self._held[user][1].id < ticket.id:
            del self._held[user]

    def end_of_wait(self, user: User) -> int | None:
        """They have met somebody. Until when a held ticket would have been kept; None for who was here."""
        self.mine.pop(user, None)
        return self._held.pop(user, (None, None))[0]

    def expire(self, now: int) -> None:
        for user in [user for user, (until, _) in self._held.items() if until <= now]:
            del self._held[user]
