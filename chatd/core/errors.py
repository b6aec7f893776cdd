"""The two tables of failures that a client can see: refusals (answers to a command) and closes (ends of a socket).

Anything that is not in one of these tables is a bug: it is logged once and answered with `internal`.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row of the table of refusals. `retryable`: the same command may succeed later."""

    code: str
    status: int
    retryable: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class Close:
    """One row of the table of closes. `may_return`: whether the client may reconnect."""

    code: int
    name: str
    may_return: bool
    meaning: str


REFUSALS = {
    row.code: row
    for row in (
        Refusal(
            "bad_request",
            400,
            False,
            "The command does not have the declared form; the message names the path.",
        ),
        Refusal("unknown_command", 404, False, "No command has this type."),
        Refusal("unauthenticated", 401, False, "The credentials are missing, invalid or expired."),
        Refusal("forbidden", 403, False, "You are not allowed to do this."),
        Refusal("not_found", 404, False, "It does not exist, or you may not see it."),
        Refusal("conflict", 409, False, "It conflicts with the current state."),
        Refusal("rate_limited", 429, True, "Too many commands or requests; retry after `retry_after` seconds."),
        Refusal("too_large", 413, False, "It exceeds a limit of this server."),
        Refusal(
            "unavailable",
            503,
            True,
            "A database is unavailable; the outcome may be unknown. Retry with the same `client_id`.",
        ),
        Refusal(
            "timeout", 504, True, "The deadline has passed; the outcome is unknown. Retry with the same `client_id`."
        ),
        Refusal("maintenance", 503, True, "The server is about to stop or under maintenance."),
        Refusal("banned", 403, False, "You are banned; `details.until` is the end of the ban."),
        Refusal("blocked", 403, False, "One of you has blocked the other."),
        Refusal("internal", 500, False, "A bug in the server, logged under `details.incident`."),
    )
}

CLOSES = {
    row.name: row
    for row in (
        Close(1001, "going_away", True, "The server is draining; reconnect after `retry_in_ms` of the reason."),
        Close(1009, "too_big", False, "A message exceeds the limit; do not send it again."),
        Close(4000, "slow", True, "The client has read nothing for too long; reconnect with your position."),
        Close(4001, "token_expired", True, "The access token has expired; reconnect with a new one."),
        Close(4002, "replaced", False, "The same session was resumed elsewhere."),
        Close(
            4029, "flooding", True, "The client sends far too many frames; reconnect after `retry_in_ms` of the reason."
        ),
        Close(4400, "protocol_error", False, "A message is not an `[id, body]` array of the negotiated codec."),
        Close(4403, "banned", False, "You are banned."),
        Close(4404, "logged_out", False, "The session or its user was logged out."),
    )
}


def may_return(code: int) -> bool:
    """Whether a client may reconnect after this close code (RFC 6455, section 7.4).

    Not after future codes from 4400 on.
    """
    known = {row.code: row.may_return for row in CLOSES.values()}
    return known.get(code, code < 4400)


class OperatorError(Exception):
    """A problem that the operator has to fix; the text names the problem and the fix. Clients never see it."""


class Refused(Exception):
    """A refusal that is returned to the sender of a command. `retry_after` in seconds."""

    def __init__(
        self, code: str, message: str = "", *, retry_after: float | None = None, details: dict[str, Any] | None = None
    ) -> None:
        self.row = REFUSALS[code]
        self.code = code
        self.message = message or self.row.meaning
        self.retry_after = retry_after
        self.details = details
        super().__init__(f"{code}: {self.message}")


def cause_of(error: BaseException) -> str:
    """The cause that a server or the operating system reported, in brackets; empty if there is none.

    Clients never see it.
    """
    cause = error.__cause__ if isinstance(error, Refused) else None
    return f" ({str(cause) or type(cause).__name__})" if cause else ""
