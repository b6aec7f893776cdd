"""Taking what erased people said of themselves out of the journal of the match pool.

An entry of a stream cannot be changed, so the stream is copied, entry by entry under the same ids, and the copy takes its place.
Only whoever writes the stream may do it, and must not write meanwhile. What stays of an erased user is their id.
"""

from collections.abc import Collection

import msgspec
import trio
from msgspec.structs import replace

from chatd.db.redis import Redis
from chatd.matching.criteria import Accept, Ticket
from chatd.matching.event_log_pages import page_of
from chatd.matching.pool_events import Paired, Queued, Step

PAGE = 200
User = tuple[str, str]


class Redaction:
    """The steps of one stream, in their order, without tags and attributes of these users."""

    def __init__(self, users: Collection[User]) -> None:
        self._users = users
        self._tickets: set[str] = set()

    def of(self, step: Step) -> Step:
        if isinstance(step, Queued) and (step.ticket.tenant, step.ticket.user) in self._users:
            self._tickets.add(step.ticket.id)
            return Queued(bare(step.ticket))
        if isinstance(step, Paired) and self._tickets.intersection(step.tickets):
            return replace(step, matched_on=[])
        return step


def bare(ticket: Ticket) -> Ticket:
    """Without what its user has said of themselves, and wanted of others."""
    return replace(ticket, tags=(), attributes={}, accept=Accept())


async def redact(redis: Redis, key: str, users: Collection[User]) -> None:
    """Replace the stream by one without what these users said of themselves. Raises Refused: then nothing has changed."""
    copy, redaction = f"{key}:copy", Redaction(users)
    await redis.call("DEL", copy)
    since, copied = "-", False
    while True:
        rows = await redis.call("XRANGE", key, since, "+", "COUNT", PAGE)
        for id_, fields in rows:
            page = page_of(fields)
            if page is not None:
                steps = [redaction.of(line.step) for line in page.lines]
                fields = {**fields, b"s": msgspec.json.encode(steps)}
            await redis.call("XADD", copy, id_, *(part for pair in fields.items() for part in pair))
            since, copied = f"({id_.decode()}", True
        await trio.lowlevel.checkpoint()
        if len(rows) < PAGE:
            break
    if copied:
        await redis.call("RENAME", copy, key)
