"""Correct logs of clients, made by a model of the server, and faults that are planted in them."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chatd.bench.client_log import (
    Acked,
    Behind,
    ClientLog,
    Connected,
    Disconnected,
    Entry,
    Fetched,
    Received,
    Refused,
    Sent,
    Synced,
)
from chatd.bench.verdict import Kind


@dataclass
class Row:
    """A committed message."""

    sender: str
    client_id: str
    rev: int


@dataclass
class Model:
    """A server with one conversation that all clients are members of, driven by random numbers."""

    choice: random.Random
    now: float = 0.0
    rev: int = 2
    rows: list[Row] = field(default_factory=list)
    logs: list[ClientLog] = field(default_factory=list)
    connected: set[str] = field(default_factory=set)
    # Members whose events are replaced by `behind` until they sync.
    dropped: set[str] = field(default_factory=set)
    # What a client has sent without an outcome that it knows.
    open: dict[str, list[str]] = field(default_factory=dict)
    # The rev up to which a client has everything; it stays where it is while the client is incomplete.
    known_rev: dict[str, int] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)

    def note(self, log: ClientLog, entry: Entry) -> None:
        log.entries.append(entry)

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    def begin(self, clients: int) -> None:
        self.logs = [ClientLog(f"user{number}", {"talk"}) for number in range(clients)]
        for log in self.logs:
            self.connect(log)
            self.sync(log)

    def connect(self, log: ClientLog) -> None:
        self.connected.add(log.user)
        self.note(log, Connected(self.tick()))
        for client_id in self.open.pop(log.user, []):
            self.send(log, client_id)

    def disconnect(self, log: ClientLog) -> None:
        self.connected.discard(log.user)
        self.dropped.discard(log.user)
        self.incomplete.add(log.user)
        self.note(log, Disconnected(self.tick()))

    def sync(self, log: ClientLog) -> None:
        for seq, row in enumerate(self.rows, 1):
            if row.rev > self.known_rev.get(log.user, 0):
                self.note(log, Fetched(self.tick(), "talk", row.sender, row.client_id, seq))
        self.note(log, Synced(self.tick(), "talk", self.rev))
        self.known_rev[log.user] = self.rev
        self.incomplete.discard(log.user)

    def drop(self, log: ClientLog) -> None:
        """From here on the events of a slow client are dropped. Its own commands wait, so it sends nothing."""
        self.dropped.add(log.user)
        self.incomplete.add(log.user)

    def resume(self, log: ClientLog) -> None:
        """The events fit again: one `behind`, then a sync, and sometimes more messages between them."""
        self.dropped.discard(log.user)
        self.note(log, Behind(self.tick(), "talk", self.rev))
        if self.choice.random() < 0.5:
            self.send(self.choice.choice([one for one in self.logs if one is not log]), "")
        self.sync(log)

    def send(self, log: ClientLog, client_id: str) -> None:
        """Send a message, for the second time if it has a `client_id`."""
        if log.user not in self.connected or log.user in self.dropped:
            return
        again = client_id
        client_id = client_id or f"{log.user}-{len(log.entries)}"
        self.note(log, Sent(self.tick(), "talk", client_id))
        found = [seq for seq, row in enumerate(self.rows, 1) if (row.sender, row.client_id) == (log.user, client_id)]
        if found:
            self.note(log, Acked(self.tick(), client_id, found[0], self.rows[found[0] - 1].rev, True))
            return
        fate = self.choice.random()
        if fate < 0.1 and not again:
            self.note(log, Refused(self.tick(), client_id))
        elif fate < 0.2:
            # The connection ends before the answer; the message may be committed.
            if self.choice.random() < 0.5:
                self.commit(log, client_id, acked=False)
            self.disconnect(log)
            self.open.setdefault(log.user, []).append(client_id)
        else:
            self.commit(log, client_id, acked=True)

    def commit(self, log: ClientLog, client_id: str, *, acked: bool) -> None:
        # Other changes of the conversation take numbers too.
        self.rev += self.choice.choice((1, 1, 2))
        self.rows.append(Row(log.user, client_id, self.rev))
        seq = len(self.rows)
        for other in self.logs:
            if other is log:
                if acked:
                    self.note(log, Acked(self.tick(), client_id, seq, self.rev))
            elif other.user in self.connected - self.dropped:
                self.note(other, Received(self.tick(), "talk", log.user, client_id, seq, self.rev))
                if other.user not in self.incomplete:
                    self.known_rev[other.user] = self.rev

    def step(self) -> None:
        log = self.choice.choice(self.logs)
        what = self.choice.random()
        if log.user not in self.connected:
            self.connect(log)
            # `connect` may have sent again, and lost the connection again.
            if log.user in self.connected and what < 0.9:
                self.sync(log)
        elif log.user in self.dropped:
            self.resume(log)
        elif what < 0.1:
            self.disconnect(log)
        elif what < 0.2:
            self.drop(log)
        else:
            self.send(log, "")


def correct_logs(choice: random.Random, clients: int, steps: int) -> list[ClientLog]:
    """Logs without a fault: with duplicates, refusals, `behind`, and clients that are away at the end."""
    model = Model(choice)
    model.begin(clients)
    for _ in range(steps):
        model.step()
    # A client whose events are dropped at the end has got `behind`, or its connection has ended.
    for log in model.logs:
        if log.user in model.dropped:
            model.note(log, Behind(model.tick(), "talk", model.rev))
    return model.logs


Place = tuple[ClientLog, int]


def places(logs: list[ClientLog], kind: type) -> Iterator[Place]:
    for log in logs:
        for at, entry in enumerate(log.entries):
            if isinstance(entry, kind):
                yield log, at


def live_after(log: ClientLog, at: int) -> Iterator[int]:
    """Received messages after this one, within the same connection."""
    for later in range(at + 1, len(log.entries)):
        if isinstance(log.entries[later], Connected | Disconnected):
            return
        if isinstance(log.entries[later], Received):
            yield later


def ends_connected(log: ClientLog, at: int) -> bool:
    """Whether the connection goes on to the end of the log."""
    return not any(isinstance(entry, Disconnected) for entry in log.entries[at:])


def is_complete_at(log: ClientLog, at: int) -> bool:
    """Whether the client has everything at this entry, and never needs a sync again."""
    turns = [entry for entry in log.entries[:at] if isinstance(entry, Disconnected | Behind | Synced)]
    later = any(isinstance(entry, Disconnected | Behind | Synced) for entry in log.entries[at:])
    return isinstance(turns[-1], Synced) and not later


def acknowledged(logs: list[ClientLog]) -> set[str]:
    return {entry.client_id for log in logs for entry in log.entries if isinstance(entry, Acked)}


def lose(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    acked = acknowledged(logs)
    for log, at in places(logs, Received):
        if log.entries[at].client_id in acked and is_complete_at(log, at):  # type: ignore[union-attr]
            yield lambda log=log, at=at: log.entries.pop(at).client_id


def lose_in_sync(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    acked = acknowledged(logs)
    for log, at in places(logs, Fetched):
        entry = log.entries[at]
        assert isinstance(entry, Fetched)
        is_complete = not any(isinstance(one, Disconnected | Behind) for one in log.entries[at:])
        seen = [one for one in log.entries if isinstance(one, Received | Fetched) and one.client_id == entry.client_id]
        if entry.sender != log.user and entry.client_id in acked and is_complete and len(seen) == 1:
            yield lambda log=log, at=at: log.entries.pop(at).client_id


def repeat(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    for log, at in places(logs, Received):

        def plant(log: ClientLog = log, at: int = at) -> str:
            entry = log.entries[at]
            log.entries.insert(max([at, *live_after(log, at)]) + 1, entry)
            return entry.client_id  # type: ignore[union-attr,no-any-return]

        yield plant


def store_twice(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    """One message has two places."""
    for log, at in places(logs, Received):
        if is_complete_at(log, at):

            def plant(log: ClientLog = log, at: int = at) -> str:
                entry = log.entries[at]
                assert isinstance(entry, Received)
                end = max(
                    (one.seq for other in logs for one in other.entries if isinstance(one, Received | Acked | Fetched)),
                )
                log.entries.append(entry._replace(at=1e6, seq=end + 1, rev=10**6))
                return entry.client_id

            yield plant


def acknowledge_twice(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    for log, at in places(logs, Acked):
        ack = log.entries[at]
        assert isinstance(ack, Acked)
        if not ack.duplicate:
            yield lambda log=log, ack=ack, at=at: (log.entries.insert(at + 1, ack), ack.client_id)[1]


def reorder(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    for log, at in places(logs, Received):
        for later in live_after(log, at):

            def plant(log: ClientLog = log, at: int = at, later: int = later) -> str:
                first, second = log.entries[at], log.entries[later]
                log.entries[at], log.entries[later] = second, first
                return first.client_id  # type: ignore[union-attr,no-any-return]

            yield plant
            break


def send_late(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    """A message takes a place before one that was acknowledged before it was sent."""
    acks = {entry.client_id: entry for log in logs for entry in log.entries if isinstance(entry, Acked)}
    end = max((ack.at for ack in acks.values()), default=0.0)
    last = max((ack.seq for ack in acks.values()), default=0)
    for log, at in places(logs, Sent):
        entry = log.entries[at]
        assert isinstance(entry, Sent)
        sends = [one for one in log.entries if isinstance(one, Sent) and one.client_id == entry.client_id]
        if len(sends) == 1 and entry.client_id in acks and acks[entry.client_id].seq < last:

            def plant(log: ClientLog = log, at: int = at, entry: Sent = entry) -> str:
                log.entries[at] = entry._replace(at=end + 1)
                return entry.client_id

            yield plant


def withhold_ack(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    """The message was delivered."""
    seen = {entry.client_id for log in logs for entry in log.entries if isinstance(entry, Received)}
    for log, at in places(logs, Acked):
        ack = log.entries[at]
        assert isinstance(ack, Acked)
        if ack.client_id in seen and not ack.duplicate and ends_connected(log, at):
            yield lambda log=log, at=at, ack=ack: (log.entries.pop(at), ack.client_id)[1]


def withhold_answer(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    for log, at in places(logs, Refused):
        if ends_connected(log, at):
            yield lambda log=log, at=at: log.entries.pop(at).client_id


def deliver_refused(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    seen = {entry.client_id for log in logs for entry in log.entries if isinstance(entry, Received)}
    for log, at in places(logs, Acked):
        ack = log.entries[at]
        assert isinstance(ack, Acked)
        sends = [one for one in log.entries if isinstance(one, Sent) and one.client_id == ack.client_id]
        if ack.client_id in seen and len(sends) == 1:

            def plant(log: ClientLog = log, at: int = at, ack: Acked = ack) -> str:
                log.entries[at] = Refused(ack.at, ack.client_id)
                return ack.client_id

            yield plant


def disagree(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    """Two messages change places for one client, which sees nothing wrong by itself."""
    for log, at in places(logs, Received):
        for later in live_after(log, at):

            def plant(log: ClientLog = log, at: int = at, later: int = later) -> str:
                first, second = log.entries[at], log.entries[later]
                assert isinstance(first, Received)
                assert isinstance(second, Received)
                log.entries[at] = first._replace(sender=second.sender, client_id=second.client_id)
                log.entries[later] = second._replace(sender=first.sender, client_id=first.client_id)
                return first.client_id

            yield plant
            break


def invent(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    for log, at in places(logs, Received):

        def plant(log: ClientLog = log, at: int = at) -> str:
            entry = log.entries[at]
            assert isinstance(entry, Received)
            log.entries[at] = entry._replace(client_id="invented")
            return "invented"

        yield plant


def misdeliver(logs: list[ClientLog]) -> Iterator[Callable[[], str]]:
    for log, at in places(logs, Received):

        def plant(log: ClientLog = log, at: int = at) -> str:
            entry = log.entries[at]
            assert isinstance(entry, Received)
            log.entries[at] = entry._replace(conversation="elsewhere")
            return entry.client_id

        yield plant


# Each yields the places where its fault fits; planting one returns the client_id of the message.
PLANTS: dict[str, tuple[Kind, Callable[[list[ClientLog]], Iterator[Callable[[], str]]]]] = {
    "lose": (Kind.LOST, lose),
    "lose in a sync": (Kind.LOST, lose_in_sync),
    "deliver twice": (Kind.REPEATED, repeat),
    "store twice": (Kind.REPEATED, store_twice),
    "acknowledge twice": (Kind.REPEATED, acknowledge_twice),
    "reorder": (Kind.REORDERED, reorder),
    "send late": (Kind.REORDERED, send_late),
    "withhold the ack": (Kind.UNACKNOWLEDGED, withhold_ack),
    "withhold the answer": (Kind.UNANSWERED, withhold_answer),
    "deliver what was refused": (Kind.REFUSED, deliver_refused),
    "disagree": (Kind.CONFLICTING, disagree),
    "invent": (Kind.UNEXPECTED, invent),
    "deliver elsewhere": (Kind.UNEXPECTED, misdeliver),
}
