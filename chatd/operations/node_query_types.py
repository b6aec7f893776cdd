"""What a node says of itself when the command line asks. Moments in milliseconds since 1970 UTC, by the clock of that node."""

from msgspec import Raw, Struct


class SessionLine(Struct):
    """One connection. `address` is the beginning of a keyed hash: the same for the same address, and no way back."""

    id: str
    tenant: str
    user: str
    codec: str
    login: str
    connected_at: int
    active_at: int
    queued_bytes: int
    queued_frames: int
    expires_at: int
    address: str


class Sessions(Struct):
    """Connections of one node: how many are meant, and some of them."""

    total: int
    sessions: list[SessionLine]


class Accepted(Struct):
    """The node that a message came to. `session` is "" over REST; `batch` is how many messages were committed with it."""

    session: str
    at: int
    committed_at: int
    batch: int
    rev: int


class Told(Struct):
    """Written to so many sessions of a node; `behind`: they were told that something is missing instead."""

    at: int
    sessions: int
    behind: bool


class Moved(Struct):
    """The first receipts of a user that reach a message, as far as this node remembers."""

    user: str
    delivered_at: int
    read_at: int | None


class Trace(Struct):
    """What a node knows of a message. `published_at` is 0 when the bus was too far behind and dropped it."""

    accepted: Accepted | None = None
    order: int | None = None
    published_at: int | None = None
    told: Told | None = None
    receipts: list[Moved] = []


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
