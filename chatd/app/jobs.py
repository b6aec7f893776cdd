"""What happens because its time has come, and not because somebody asks: every node looks, whoever comes first does it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from chatd.accounts.idle_accounts import remove_idle
from chatd.app.context import Node
from chatd.conversations.messages.deletion import expire, retain
from chatd.conversations.messages.scheduler import send_due
from chatd.core.errors import Refused
from chatd.privacy.erasure import erase_next

# Does a bounded piece of work, and says whether there is more of it.
Job = Callable[[Node], Awaitable[bool]]
# Seconds between two looks.
JOBS: dict[Job, float] = {send_due: 1.0, expire: 2.0, erase_next: 2.0, retain: 60.0, remove_idle: 60.0}


async def turn(node: Node, job: Job, pause: float) -> None:
    """One job, for ever. What is refused is tried again at the next look; anything else ends this run."""
    while True:
        more = False
        with suppress(Refused):
            more = await job(node)
        await trio.sleep(0 if more else pause)
