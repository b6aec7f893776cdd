"""What the server itself says to a session, whatever the features are."""

from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from chatd.wire.base import ClientId, Event, Id, Millis, Rev
from chatd.wire.reference.examples import ALICE, Example


class ConnectionLimits(Struct, kw_only=True, frozen=True):
    """What this connection may send. Sizes in bytes, rates in commands per second."""

    max_message: int
    max_frames: int
    max_text: int
    commands_per_second: float
    commands_burst: int


class Connected(Event, tag="connected"):
    """The first frame of every connection. `heartbeat` in seconds: when the client hears nothing for twice that, it is alone."""

    session: Id
    user: Id
    tenant: str
    server_time: Millis
    heartbeat: float
    expires_at: Millis
    limits: ConnectionLimits
    maintenance: bool
    EXAMPLE: ClassVar = Example(user=ALICE)


class TokenExpiring(Event, tag="token.expiring"):
    """The access token ends in a minute: send `auth.refresh` with a fresh one, or the socket closes with 4001."""

    expires_at: Millis


class MaintenanceMode(Event, tag="maintenance.mode"):
    """The server is about to stop, or is back. `retry_after` in seconds: when this session may come back."""

    enabled: bool
    message: str
    retry_after: float | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(enabled=True, message="The server is about to stop. You will be reconnected.")


class Behind(Event, tag="behind"):
    """Events of this conversation were not sent: call `conversation.sync` with the last rev that was seen."""

    conversation: Id
    rev: Rev


class ScheduleFailed(Event, tag="schedule.failed"):
    """A scheduled message was refused when its time had come; `code` is that of the refusal. schedule.edit tries it again."""

    id: Id
    conversation: Id
    client_id: ClientId
    code: str


class SessionBehind(Event, tag="session.behind"):
    """Something of the user's own (settings, stars, drafts, blocks) may have changed on another device: call `session.sync`."""
