"""Whether a user may say something in a conversation now. The rule itself is the SQL function `refusal_to_say`.

The journal calls the same SQL function for what is sent, forwarded and scheduled, within its own statement (append_messages).
"""

from chatd.conversations.log.transaction import Change
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries

SQL = queries.load("conversations/saying")


async def check_may_say(here: Change) -> None:
    """For a change that brings new words of the asker to others.

    Raises Refused: `not_found`, `blocked`, `forbidden` where only announcements are allowed, `rate_limited` in slow mode.
    """
    row = await here.one(SQL.may_say, here.user, f"change-{uuid7(here.now)}")
    if row is None or row["denied"] is not None:
        raise Refused("not_found" if row is None else row["denied"])
    if row["early"] is not None:
        raise Refused("rate_limited", "this conversation is in slow mode", retry_after=row["early"] / 1000)
