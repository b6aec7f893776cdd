"""What a client of the load generator logs: its commands, their answers, and the messages that it received.

Times are in seconds of one clock that all clients share.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Connected(NamedTuple):
    """A connection begins."""

    at: float


class Disconnected(NamedTuple):
    """The connection has ended. The outcome of every command without an answer is unknown."""

    at: float


class Sent(NamedTuple):
    at: float
    conversation: str
    client_id: str


class Acked(NamedTuple):
    """A message was acknowledged. `duplicate`: it had been committed before, and this repeats its first ack."""

    at: float
    client_id: str
    seq: int
    rev: int
    duplicate: bool = False


class Refused(NamedTuple):
    """A message was refused. `retryable`: the message may have been committed nevertheless."""

    at: float
    client_id: str
    retryable: bool = False


class Received(NamedTuple):
    """A message that the server has sent by itself. `client_id` is empty for a message of the system."""

    at: float
    conversation: str
    sender: str
    client_id: str
    seq: int
    rev: int


class Fetched(NamedTuple):
    """A message in the answer to a sync."""

    at: float
    conversation: str
    sender: str
    client_id: str
    seq: int


class Behind(NamedTuple):
    """Events up to `rev` are missing. The client has to sync."""

    at: float
    conversation: str
    rev: int


class Synced(NamedTuple):
    """The client has everything up to `rev`."""

    at: float
    conversation: str
    rev: int


Entry = Connected | Disconnected | Sent | Acked | Refused | Received | Fetched | Behind | Synced


@dataclass(slots=True)
class ClientLog:
    """The log of one client, a member of these conversations during the whole run.

    A client is complete in a conversation from its first `Synced`.
    """

    user: str
    conversations: set[str] = field(default_factory=set)
    entries: list[Entry] = field(default_factory=list)
