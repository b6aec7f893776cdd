"""What happens because its time has come, and not because somebody asks: every node looks, whoever comes first does it."""

from collections.abc import Awaitable, Callable

import trio

from chatd import log
from chatd.errors import Refused
from chatd.node.context import Node
from chatd.node.due import send_due
from chatd.node.erasure import erase_next
from chatd.node.tombstones import expire, retain

LOG = log.get(__name__)
# Does a bounded piece of work, and says whether there is more of it.
Job = Callable[[Node], Awaitable[bool]]
# Seconds between two looks.
JOBS: dict[Job, float] = {send_due: 1.0, expire: 2.0, erase_next: 2.0, retain: 60.0}


async def run(node: Node) -> None:
    """All jobs, for ever, each in a task of its own."""
    async with trio.open_nursery() as nursery:
        for job, pause in JOBS.items():
            nursery.start_soon(turn, node, job, pause)


async def turn(node: Node, job: Job, pause: float) -> None:
    """One job, for ever. What goes wrong is tried again at the next look."""
    while True:
        more = False
        try:
            more = await job(node)
        except Refused as refused:
            LOG.warning("put off", extra={"job": job.__name__, "why": refused.code})
        except Exception:
            LOG.exception("a round failed", extra={"job": job.__name__})
        await trio.sleep(0 if more else pause)
