"""Settings of matching."""

from typing import Annotated

from msgspec import Meta

from chatd.core.config import Declaration, Duration, NamedSettings, Seconds, Section, Settings, doc


class MatchSettings(Section, frozen=True):
    relax: Annotated[
        Seconds,
        doc(
            "Seconds of waiting after which `should` is dropped; common tags and recent partners follow at "
            "the same interval."
        ),
    ] = 5.0
    confirm: Annotated[
        Seconds, doc("Seconds within which both users must confirm a match; 0 needs no confirmation.")
    ] = 0.0
    longest: Annotated[Duration, doc("Seconds after which a ticket expires.")] = 600.0
    grace: Annotated[Seconds, doc("Seconds for which a disconnected user keeps the ticket or the match.")] = 10.0
    recent: Annotated[
        int,
        Meta(ge=0, le=10_000),
        doc("Number of recent partners that a user is not matched with again while there are others."),
    ] = 20


class QueueSettings(Section, frozen=True):
    size: Annotated[int, Meta(ge=2, le=20), doc("Number of users in a match.")] = 2
    relax: Annotated[Seconds | None, doc("As in [match].")] = None
    confirm: Annotated[Seconds | None, doc("As in [match].")] = None
    longest: Annotated[Seconds | None, doc("As in [match].")] = None


class PoolLogSettings(Section, frozen=True):
    stream_key: Annotated[str, doc("Stream that holds the event log of the match pool.")] = "match"


QUEUES = """\
# Match queues with their own rules; all other queues use [match]:
# [queues.trios]
# size = 3
"""
SETTINGS: tuple[Declaration, ...] = (
    Settings("match", MatchSettings),
    NamedSettings("queues", QueueSettings, QUEUES),
    Settings("redis", PoolLogSettings),
)
