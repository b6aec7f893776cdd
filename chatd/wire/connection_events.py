"""Events about a connection itself."""

from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType

from chatd.wire.base import ClientId, Error, Event, Id, Millis, Rev
from chatd.wire.reference.examples import ALICE, Example


class ConnectionLimits(Struct, kw_only=True, frozen=True):
    """Limits of this connection. Sizes are in bytes, rates in commands per second."""

    max_message: int
    max_frames: int
    max_text: int
    commands_per_second: float
    commands_burst: int


class Connected(Event, tag="connected"):
    """The first frame of every connection.

    `heartbeat`: after this many seconds without traffic the server sends a ping; after twice that time it closes the
    connection. `external_id`: the subject (`sub`) of the token, absent if it is the user id.
    """

    session: Id
    user: Id
    tenant: str
    server_time: Millis
    heartbeat: float
    expires_at: Millis
    limits: ConnectionLimits
    maintenance: bool
    external_id: str | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(user=ALICE)


class Closed(Event, tag="closed"):
    """The session has ended: the last event of `GET /v1/events`, which has no close frames. `code`, `name` and `reason`
    are those of a close frame. `reconnect`: whether the client may come back.
    """

    code: int
    name: str
    reason: str
    reconnect: bool
    EXAMPLE: ClassVar = Example(code=1001, name="going_away", reason="retry_in_ms=1500", reconnect=True)


class CommandRefused(Event, tag="error"):
    """The refusal of a command that was sent under id 0, with the fields of the result `error`.

    `command`: the `t` of the command, absent if it is unreadable or longer than 64 characters.
    """

    code: str
    message: str
    retryable: bool
    retry_after: float | UnsetType = UNSET
    details: dict[str, Any] | UnsetType = UNSET
    command: str | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(command="typing.start")


def refusal_of(error: Error, command: str) -> CommandRefused:
    """The event for the refusal of a command under id 0. `command`: "" if it is not known."""
    return CommandRefused(
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        retry_after=error.retry_after,
        details=error.details,
        command=command or UNSET,
    )


class TokenExpiring(Event, tag="token.expiring"):
    """The access token expires within a minute. Send `auth.refresh` with a new one, or the connection is closed with
    4001.
    """

    expires_at: Millis


class MaintenanceMode(Event, tag="maintenance.mode"):
    """Maintenance mode begins or ends, or the server is about to stop. `retry_after`: when to reconnect, in seconds."""

    enabled: bool
    message: str
    retry_after: float | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(enabled=True, message="The server is about to stop. You will be reconnected.")


class Behind(Event, tag="behind"):
    """Events of this conversation were skipped. Call `conversation.sync` with the last `rev` that you have."""

    conversation: Id
    rev: Rev


class ScheduleFailed(Event, tag="schedule.failed"):
    """A scheduled message was refused when it was due; `code` is the code of the refusal. `schedule.edit` tries it
    again.
    """

    id: Id
    conversation: Id
    client_id: ClientId
    code: str


class SessionBehind(Event, tag="session.behind"):
    """Profile, settings, stars, drafts or blocks of the user may have changed on another device, or profiles of
    others: events may be missing. Call `session.sync`, and query the profiles that you show.
    """
