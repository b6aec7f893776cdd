"""Answers of a node to queries of the command line. Times are milliseconds since 1970 UTC by the clock of that node."""

from msgspec import Raw, Struct

from chatd.realtime.sessions import SessionInfo


class Sessions(Struct):
    """Sessions of one node: the number of those that match, and some of them."""

    total: int
    sessions: list[SessionInfo]


class Health(Struct):
    """The health of a node. `gap_at`: when it last read from Postgres what the bus had lost; `waiting`: queued entries.

    `secrets`: a fingerprint of the token keys. `uploads`: the identity of the upload store. `failing`: services and
    causes.
    """

    version: str
    at: int
    process: int
    sessions: int
    users: int
    owns_pool: bool
    event_log_stale: bool
    bus_waiting: int
    bus_gaps: int
    bus_gap_at: int
    message_log_waiting: int
    message_log_failures: int
    descriptors: int
    most_descriptors: int
    maintenance: bool
    secrets: str = ""
    uploads: str = ""
    failing: dict[str, str] = {}


class Answer(Struct, omit_defaults=True):
    """An element of the list of answers: the answer of a node as JSON, or in `error` the reason why there is none."""

    node: str
    answer: Raw = Raw(b"")
    error: str = ""
