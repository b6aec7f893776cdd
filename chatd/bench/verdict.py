"""Check the logs of all clients of a run for lost, repeated, reordered and unacknowledged messages.

Pure: the logs are the only input. The rules are the guarantees of docs/protocol.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

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


class Kind(StrEnum):
    """A kind of fault."""

    LOST = "lost"
    REPEATED = "repeated"
    REORDERED = "reordered"
    UNACKNOWLEDGED = "delivered without an ack"
    UNANSWERED = "neither acknowledged nor refused"
    REFUSED = "refused, but delivered"
    CONFLICTING = "not the same for all clients"
    UNEXPECTED = "not sent, or not to this client"


class Fault(NamedTuple):
    """A fault in the log of `user`. `seq` is 0 and `client_id` empty where they are unknown."""

    kind: Kind
    user: str
    conversation: str
    seq: int
    client_id: str
    detail: str

    def __str__(self) -> str:
        message = f"message {self.seq}" if self.seq else "a message"
        name = f" ({self.client_id})" if self.client_id else ""
        return f"{self.kind}: {message}{name} in {self.conversation}, client {self.user}: {self.detail}"


@dataclass
class Verdict:
    """The faults, and the number of messages that were sent, acknowledged, refused, without an outcome, and received.

    `unknown`: the connection of the sender ended before the answer.
    """

    faults: list[Fault] = field(default_factory=list)
    sent: int = 0
    acked: int = 0
    refused: int = 0
    unknown: int = 0
    received: int = 0


class Key(NamedTuple):
    """What identifies a message."""

    sender: str
    client_id: str


@dataclass(slots=True)
class Message:
    """What the log of the sender contains about a message.

    `acked_at`: the time of the first ack; 0 without one. `interrupted`: the connection ended before an answer came.
    `unanswered`: no answer came to the last attempt, though its connection stayed open.
    """

    conversation: str
    sent_at: float
    acked_at: float = 0.0
    acks: int = 0
    refused: bool = False
    retryable: bool = False
    interrupted: bool = False
    unanswered: bool = False


@dataclass(slots=True)
class Position:
    """What a client has of a conversation.

    `complete_to`: the last seq up to which it must have every message; None: it must have all. `last_seq` and
    `last_rev` are those of the present connection.
    """

    held: set[int] = field(default_factory=set)
    complete_to: int | None = 0
    missing_to_rev: int = 0
    live: set[int] = field(default_factory=set)
    last_seq: int = 0
    last_rev: int = 0

    def interrupt(self, rev: int = 0) -> None:
        """Events may be missing from here on, until a sync reaches `rev`."""
        self.missing_to_rev = max(self.missing_to_rev, rev)
        if self.complete_to is None:
            self.complete_to = max(self.held, default=0)

    def sync(self, rev: int) -> None:
        if rev >= self.missing_to_rev:
            self.complete_to, self.missing_to_rev = None, 0


def judge(logs: Sequence[ClientLog]) -> Verdict:
    """Find all faults. The logs are complete: no client of the run is left out."""
    return Judge(logs).judge()


class Judge:
    def __init__(self, logs: Sequence[ClientLog]) -> None:
        self._logs = logs
        self._users = {log.user for log in logs}
        self._messages: dict[Key, Message] = {}
        # The message at each seq of each conversation, as the first client saw it.
        self._places: dict[str, dict[int, Key]] = {}
        self._seqs: dict[Key, int] = {}
        self._positions: dict[tuple[str, str], Position] = {}
        self._result = Verdict()

    def judge(self) -> Verdict:
        for log in self._logs:
            self._read_sent(log)
        for log in self._logs:
            LogReader(self, log).read()
        for log in self._logs:
            self._find_lost(log)
        self._judge_outcomes()
        self._judge_order_in_time()
        return self._result

    def fault(self, kind: Kind, user: str, conversation: str, key: Key, detail: str, seq: int = 0) -> None:
        found = seq or self._seqs.get(key, 0)
        self._result.faults.append(Fault(kind, user, conversation, found, key.client_id, detail))

    def position(self, user: str, conversation: str) -> Position:
        return self._positions.setdefault((user, conversation), Position())

    def message(self, key: Key) -> Message | None:
        return self._messages.get(key)

    def is_client(self, user: str) -> bool:
        return user in self._users

    def note_received(self) -> None:
        self._result.received += 1

    def place(self, user: str, conversation: str, seq: int, key: Key) -> None:
        """Compare the place of a message with what the other clients saw."""
        places = self._places.setdefault(conversation, {})
        other = places.setdefault(seq, key)
        if other != key:
            self.fault(Kind.CONFLICTING, user, conversation, key, f"another client has {other.client_id} there", seq)
        if key.client_id and self._seqs.setdefault(key, seq) != seq:
            self.fault(Kind.REPEATED, user, conversation, key, f"it is also message {self._seqs[key]}", seq)

    def _read_sent(self, log: ClientLog) -> None:
        """Read what a client has sent, and which of it was interrupted by the end of the connection."""
        open_ = dict[str, Message]()
        for entry in log.entries:
            match entry:
                case Sent():
                    key = Key(log.user, entry.client_id)
                    open_[entry.client_id] = self._messages.setdefault(key, Message(entry.conversation, entry.at))
                case Acked():
                    self._read_ack(log.user, entry)
                    open_.pop(entry.client_id, None)
                case Refused():
                    if message := open_.pop(entry.client_id, None):
                        message.refused, message.retryable = True, message.retryable or entry.retryable
                case Disconnected():
                    for message in open_.values():
                        message.interrupted = True
                    open_.clear()
        for message in open_.values():
            message.unanswered = True

    def _read_ack(self, user: str, ack: Acked) -> None:
        message = self._messages.get(Key(user, ack.client_id))
        if message is None:
            self.fault(Kind.UNEXPECTED, user, "?", Key(user, ack.client_id), "an ack of a message never sent", ack.seq)
            return
        message.acks += not ack.duplicate
        message.acked_at = message.acked_at or ack.at
        if message.acks > 1 and not ack.duplicate:
            key = Key(user, ack.client_id)
            self.fault(Kind.REPEATED, user, message.conversation, key, "acknowledged twice as new", ack.seq)

    def _find_lost(self, log: ClientLog) -> None:
        for conversation in sorted(log.conversations):
            places = self._places.get(conversation)
            if not places:
                continue
            position = self.position(log.user, conversation)
            end = max(places) if position.complete_to is None else position.complete_to
            for seq in range(min(places), end + 1):
                key = places.get(seq, Key("", ""))
                if seq not in position.held and key.sender != log.user:
                    self.fault(Kind.LOST, log.user, conversation, key, "this client never received it", seq)

    def _judge_outcomes(self) -> None:
        result = self._result
        result.sent = len(self._messages)
        for key, message in self._messages.items():
            delivered = key in self._seqs
            if message.acked_at:
                result.acked += 1
            elif message.refused:
                result.refused += 1
                if delivered and not message.retryable and not message.interrupted:
                    self.fault(Kind.REFUSED, key.sender, message.conversation, key, "a client received it")
            elif not message.unanswered:
                result.unknown += 1
            elif delivered:
                self.fault(Kind.UNACKNOWLEDGED, key.sender, message.conversation, key, "the sender has no ack")
            else:
                self.fault(Kind.UNANSWERED, key.sender, message.conversation, key, "the server did not answer")

    def _judge_order_in_time(self) -> None:
        """A message that was sent after the ack of another one has a later seq."""
        by_conversation = dict[str, list[tuple[int, Message, Key]]]()
        for key, message in self._messages.items():
            if message.acked_at and key in self._seqs:
                by_conversation.setdefault(message.conversation, []).append((self._seqs[key], message, key))
        for conversation, found in by_conversation.items():
            earliest_ack = float("inf")
            for _, message, key in sorted(found, key=lambda one: one[0], reverse=True):
                if earliest_ack < message.sent_at:
                    detail = "it was sent after the ack of a message that has a later place"
                    self.fault(Kind.REORDERED, key.sender, conversation, key, detail)
                earliest_ack = min(earliest_ack, message.acked_at)


class LogReader:
    """Follow one client through its connections."""

    def __init__(self, judge: Judge, log: ClientLog) -> None:
        self._judge = judge
        self._log = log
        self._user = log.user

    def read(self) -> None:
        for entry in self._log.entries:
            self._step(entry)

    def _step(self, entry: Entry) -> None:
        match entry:
            case Received():
                self._judge.note_received()
                if self._is_expected(entry):
                    self._receive(entry)
            case Acked():
                self._ack(entry)
            case Fetched():
                if self._is_expected(entry):
                    self._hold(entry.conversation, entry.seq, Key(entry.sender, entry.client_id))
            case Behind():
                position = self._position(entry.conversation)
                position.interrupt(entry.rev)
                position.last_rev = max(position.last_rev, entry.rev)
            case Synced():
                self._position(entry.conversation).sync(entry.rev)
            case Connected():
                self._begin_connection()
            case Disconnected():
                for conversation in self._log.conversations:
                    self._position(conversation).interrupt()

    def _position(self, conversation: str) -> Position:
        return self._judge.position(self._user, conversation)

    def _begin_connection(self) -> None:
        for conversation in self._log.conversations:
            position = self._position(conversation)
            position.live, position.last_seq, position.last_rev = set(), 0, 0

    def _is_expected(self, entry: Received | Fetched) -> bool:
        """Whether the message was sent, in this conversation, and this client may see it."""
        key = Key(entry.sender, entry.client_id)
        message = self._judge.message(key)
        if entry.conversation not in self._log.conversations:
            detail = "this client is not a member"
        elif message is not None and message.conversation != entry.conversation:
            detail = f"it was sent to {message.conversation}"
        elif message is None and entry.client_id and self._judge.is_client(entry.sender):
            detail = "no client sent it"
        else:
            return True
        self._judge.fault(Kind.UNEXPECTED, self._user, entry.conversation, key, detail, entry.seq)
        return False

    def _receive(self, entry: Received) -> None:
        position, key = self._position(entry.conversation), Key(entry.sender, entry.client_id)
        if entry.seq in position.live:
            detail = "received twice on one connection"
            self._judge.fault(Kind.REPEATED, self._user, entry.conversation, key, detail, entry.seq)
            return
        if entry.seq < position.last_seq or entry.rev <= position.last_rev:
            detail = f"received with rev {entry.rev} after message {position.last_seq} and rev {position.last_rev}"
            self._judge.fault(Kind.REORDERED, self._user, entry.conversation, key, detail, entry.seq)
        self._advance(position, entry.seq, entry.rev)
        self._hold(entry.conversation, entry.seq, key)

    def _ack(self, ack: Acked) -> None:
        key = Key(self._user, ack.client_id)
        message = self._judge.message(key)
        if message is None:
            return
        position = self._position(message.conversation)
        if not ack.duplicate:
            if ack.rev <= position.last_rev:
                detail = f"acknowledged with rev {ack.rev} after rev {position.last_rev}"
                self._judge.fault(Kind.REORDERED, self._user, message.conversation, key, detail, ack.seq)
            self._advance(position, ack.seq, ack.rev)
        self._hold(message.conversation, ack.seq, key)

    @staticmethod
    def _advance(position: Position, seq: int, rev: int) -> None:
        position.live.add(seq)
        position.last_seq, position.last_rev = max(position.last_seq, seq), max(position.last_rev, rev)

    def _hold(self, conversation: str, seq: int, key: Key) -> None:
        self._position(conversation).held.add(seq)
        self._judge.place(self._user, conversation, seq, key)


def summary(faults: Iterable[Fault]) -> dict[str, int]:
    """The number of faults of each kind."""
    counts = dict[str, int]()
    for fault in faults:
        counts[fault.kind.value] = counts.get(fault.kind.value, 0) + 1
    return counts
