"""Control messages of matching. Each applies itself to the matching service of the node that receives it."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.core.identity import UserKey
from chatd.matching.criteria import Ticket, rebase_clock
from chatd.matching.local_tickets import LocalTickets


class Pool(Protocol):
    """The methods of `PoolOwner` that control messages call."""

    @property
    def held(self) -> bool: ...

    def submit(self, ticket: Ticket) -> None: ...

    def remove(self, user: UserKey, reason: str) -> None: ...

    def confirm(self, user: UserKey, match: str) -> bool | None: ...

    def on_heartbeat(self, node: str, fence: int, queues: Sequence[tuple[str, str, int, int | None]]) -> None: ...

    def log_end(self, match: str, reason: str) -> None: ...

    def forget(self, users: Collection[UserKey]) -> None: ...


class Matching(Protocol):
    """The methods of `MatchingService` that control messages call. The service is found by this class."""

    clock: Callable[[], int]
    tickets: LocalTickets

    @property
    def pool(self) -> Pool: ...

    def ticket_of(self, user: UserKey) -> Ticket | None: ...

    def adopt(self, ticket: Ticket) -> bool: ...

    def park(self, ticket: Ticket) -> None: ...

    def send_parked(self, ticket: Ticket) -> None: ...

    def drop(self, user: UserKey, reason: str) -> bool: ...

    def add_to_avoid(self, user: UserKey, other: str) -> None: ...

    def close_tickets(self, closed: "TicketsClosed") -> None: ...

    def resubmit_all(self) -> None: ...


class MatchingMessage(ControlMessage):
    """A control message for the matching service."""

    async def apply(self, receiver: Receiver) -> None:
        self.apply_to(receiver.services.get(Matching))

    def apply_to(self, matching: Matching) -> None:
        raise NotImplementedError


class SubmitTicket(MatchingMessage, array_like=True, tag="find"):
    """To the owner of the pool: a ticket of a user of the sending node. `now`: the sender's clock of tickets, 0 if
    unknown.
    """

    ticket: Ticket
    now: int = 0

    def apply_to(self, matching: Matching) -> None:
        matching.tickets.remove_before(self.ticket)
        if matching.pool.held:
            matching.pool.submit(rebase_clock(self.ticket, self.now, matching.clock()))


class WithdrawTicket(MatchingMessage, array_like=True, tag="leave"):
    """To the owner of the pool: remove the ticket of this user."""

    tenant: str
    user: str
    reason: str

    def apply_to(self, matching: Matching) -> None:
        matching.pool.remove((self.tenant, self.user), self.reason)


class DropTicket(MatchingMessage, array_like=True, tag="drop"):
    """To all nodes: remove the tickets of this user, and the owner of the pool removes theirs."""

    tenant: str
    user: str
    reason: str

    def apply_to(self, matching: Matching) -> None:
        matching.drop((self.tenant, self.user), self.reason)


class AvoidUser(MatchingMessage, array_like=True, tag="avoid"):
    """To all nodes: the ticket of `user` is never matched with `other`."""

    tenant: str
    user: str
    other: str

    def apply_to(self, matching: Matching) -> None:
        matching.add_to_avoid((self.tenant, self.user), self.other)


class UserArrived(MatchingMessage, array_like=True, tag="here"):
    """To all nodes: this user has connected to the sending node, which needs their ticket."""

    tenant: str
    user: str

    def apply_to(self, matching: Matching) -> None:
        ticket = matching.ticket_of((self.tenant, self.user))
        if ticket is not None:
            matching.send_parked(ticket)


class TicketParked(MatchingMessage, array_like=True, tag="held"):
    """To the node of its user: a ticket whose user is not connected to the sending node. `now` as in `SubmitTicket`."""

    ticket: Ticket
    now: int = 0

    def apply_to(self, matching: Matching) -> None:
        matching.adopt(rebase_clock(self.ticket, self.now, matching.clock()))


class TicketTransferred(MatchingMessage, array_like=True, tag="hand over"):
    """To all nodes, from a node that stops: keep this ticket until its user connects. `now` as in `SubmitTicket`."""

    ticket: Ticket
    now: int = 0

    def apply_to(self, matching: Matching) -> None:
        ticket = rebase_clock(self.ticket, self.now, matching.clock())
        if not matching.adopt(ticket):
            matching.park(ticket)


class ConfirmPair(MatchingMessage, array_like=True, tag="confirm"):
    """To the owner of the pool: a user confirms a pair."""

    tenant: str
    user: str
    match: str

    def apply_to(self, matching: Matching) -> None:
        if matching.pool.held:
            matching.pool.confirm((self.tenant, self.user), self.match)


class PoolOwnerHeartbeat(MatchingMessage, array_like=True, tag="owner"):
    """From the owner of the pool, once per heartbeat: its name, the number of its lease, and its longest queues.

    A queue is (tenant, name, number of tickets, estimated waiting time in milliseconds).
    """

    node: str
    fence: int
    lines: list[tuple[str, str, int, int | None]]

    def apply_to(self, matching: Matching) -> None:
        matching.pool.on_heartbeat(self.node, self.fence, self.lines)


class TicketsClosed(MatchingMessage, array_like=True, tag="tickets-closed"):
    """From the owner of the pool: these users' tickets up to the given ones are closed.

    `match`: their match, "" if they have none.
    """

    tenant: str
    users: list[str]
    tickets: list[str]
    match: str = ""

    def apply_to(self, matching: Matching) -> None:
        matching.close_tickets(self)


class TicketsWanted(MatchingMessage, array_like=True, tag="tickets-wanted"):
    """From the owner of the pool, after it dropped work: submit all tickets again."""

    def apply_to(self, matching: Matching) -> None:
        matching.resubmit_all()


class MatchOver(MatchingMessage, array_like=True, tag="match-closed"):
    """To the owner of the pool, who writes the event log: a match has ended."""

    match: str
    reason: str

    def apply_to(self, matching: Matching) -> None:
        matching.pool.log_end(self.match, self.reason)


class ForgetUser(MatchingMessage, array_like=True, tag="match-forget"):
    """To all nodes: this user is erased. Their ticket is removed, and the owner of the pool erases their data from the
    log.
    """

    tenant: str
    user: str

    def apply_to(self, matching: Matching) -> None:
        matching.drop((self.tenant, self.user), "cancelled")
        matching.pool.forget([(self.tenant, self.user)])
