"""When the token of a session expires: a warning before, and the end of the session after."""

from enum import Enum
from typing import NamedTuple

from chatd.accounts.settings import AuthSettings
from chatd.app.context import Node

# Time between `token.expiring` and the expiry of the token.
EXPIRY_WARNING_MS = 60_000


class ExpiryStep(Enum):
    """What is due now."""

    NOTHING = 1
    WARN = 2
    CLOSE = 3


class Expiry(NamedTuple):
    """What is due now, and the seconds until the next step."""

    step: ExpiryStep
    next_s: float


def expiry_of(node: Node, expires_at: int, *, warned: bool) -> Expiry:
    """`warned`: the client was told that this token expires."""
    left = expires_at - node.clock()
    if left <= -node.config.get(AuthSettings).leeway * 1000:
        return Expiry(ExpiryStep.CLOSE, 0.25)
    warn = left <= EXPIRY_WARNING_MS and not warned
    until = left if warned or warn else left - EXPIRY_WARNING_MS
    return Expiry(ExpiryStep.WARN if warn else ExpiryStep.NOTHING, max(0.25, until / 1000))
