"""What a node says of itself when the command line asks. Moments in milliseconds since 1970 UTC, by the clock of that node."""

from msgspec import Raw, Struct

from chatd.realtime.sessions import SessionInfo


class Sessions(Struct):
    """Connections of one node: how many are meant, and some of them."""

    total: int
    sessions: list[SessionInfo]


class Health(Struct):
    """How a node is. `gap_at`: when it last had to ask Postgres for what the bus had lost; `waiting`: orders and entries.

    `secrets`: a fingerprint of the keys of the tokens. `uploads`: which store it uses. `failing`: services, and why.
    """

    version: str
    at: int
    process: int
    sessions: int
    users: int
    owns_pool: bool
    mirror_stale: bool
    bus_waiting: int
    bus_gaps: int
    bus_gap_at: int
    journal_waiting: int
    journal_failures: int
    descriptors: int
    most_descriptors: int
    maintenance: bool
    secrets: str = ""
    uploads: str = ""
    failing: dict[str, str] = {}


class Answer(Struct, omit_defaults=True):
    """What lies on the list of answers, as JSON: the answer of a node, or in `error` why there is none."""

    node: str
    answer: Raw = Raw(b"")
    error: str = ""
