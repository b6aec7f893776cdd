"""Settings of /v1/events."""

from typing import Annotated

from chatd.core.config import Bytes, Count, Declaration, Duration, Section, Settings, doc


class EventSettings(Section, frozen=True):
    grace: Annotated[
        Duration, doc("Seconds for which a session of /v1/events goes on without a request that reads its events.")
    ] = 20.0
    max_wait: Annotated[Duration, doc("Maximum seconds that a long poll waits for an event.")] = 30.0
    max_requests: Annotated[
        Count, doc("Maximum open requests to /v1/events of this process; each is a connection of the HTTP port.")
    ] = 2000
    replay_bytes: Annotated[
        Bytes, doc("Maximum bytes of events of a session that are kept for a client whose connection breaks.")
    ] = 131_072
    replay_frames: Annotated[Count, doc("Maximum number of these events.")] = 256


SETTINGS: tuple[Declaration, ...] = (Settings("events", EventSettings),)
