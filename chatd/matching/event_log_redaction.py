"""Taking what erased people said of themselves out of the journal of the match pool.

An entry of a stream cannot be changed, so the stream is copied, entry by entry under the same ids, and the copy takes its place.
Only whoever writes the stream may do it, and must not write meanwhile. What stays of an erased user is their id.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import trio
from msgspec.structs import replace

from chatd.core.errors import Refused
from chatd.db.redis import Command, Redis
from chatd.matching.criteria import Accept, Ticket
from chatd.matching.event_log_pages import page_of
from chatd.matching.pool_events import Paired, Queued, Reset, Step

PAGE = 200
User = tuple[str, str]


class Redaction:
    """The steps of one stream, in their order, without tags and attributes of these users.

    Before its first reset the stream may hold pairs whose tickets were trimmed away: they may be of these users.
    """

    def __init__(self, users: Collection[User]) -> None:
        self._users = users
        self._tickets: set[str] = set()
        self._others: set[str] | None = set()

    def of(self, step: Step) -> Step:
        if isinstance(step, Reset):
            self._others = None
        if isinstance(step, Queued):
            return self._queued(step)
        if isinstance(step, Paired) and self._may_be_theirs(step):
            return replace(step, matched_on=[])
        return step

    def _queued(self, step: Queued) -> Queued:
        if (step.ticket.tenant, step.ticket.user) in self._users:
            self._tickets.add(step.ticket.id)
            return Queued(bare(step.ticket))
        if self._others is not None:
            self._others.add(step.ticket.id)
        return step

    def _may_be_theirs(self, pair: Paired) -> bool:
        unknown = self._others is not None and not self._others.issuperset(pair.tickets)
        return unknown or not self._tickets.isdisjoint(pair.tickets)


def bare(ticket: Ticket) -> Ticket:
    """Without what its user has said of themselves, and wanted of others."""
    return replace(ticket, tags=(), attributes={}, accept=Accept())


async def redact(redis: Redis, key: str, users: Collection[User]) -> None:
    """Replace the stream by one without what these users said of themselves. Raises Refused: then nothing has changed."""
    copy, redaction = f"{key}:copy", Redaction(users)
    await redis.call("DEL", copy)
    since, last = "-", b""
    while True:
        rows = await redis.call("XRANGE", key, since, "+", "COUNT", PAGE)
        for id_, fields in rows:
            page = page_of(fields)
            if page is not None:
                steps = [redaction.of(line.step) for line in page.lines]
                fields = {**fields, b"s": msgspec.json.encode(steps)}
            await redis.call("XADD", copy, id_, *(part for pair in fields.items() for part in pair))
            since, last = f"({id_.decode()}", id_
        await trio.lowlevel.checkpoint()
        if len(rows) < PAGE:
            break
    if last:
        await replace_stream(redis, key, copy, last)


async def replace_stream(redis: Redis, key: str, copy: str, last: bytes) -> None:
    """Put the copy in the place of the stream if `last` is still the id of the last entry: a node that has lost its lease
    must not overwrite what the next owner has written. Raises Refused.
    """

    def decide(entries: Sequence[tuple[bytes, Any]]) -> tuple[bool, list[Command]]:
        is_last = bool(entries) and entries[0][0] == last
        return is_last, [("RENAME", copy, key)] if is_last else [("DEL", copy)]

    if not await redis.update([key], [("XREVRANGE", key, "+", "-", "COUNT", 1)], decide):
        raise Refused("unavailable", "another node has written to the match log")
