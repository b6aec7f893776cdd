"""Fetches what the client has missed: all states after a connection has opened and when the server requests it, then
each gap when it is found.

One task per connection does this, one conversation at a time, so two syncs of one conversation never overlap.
"""

from collections.abc import Callable
from typing import Any

import trio

from chatd.client.events import EventQueue
from chatd.client.link import Link
from chatd.client.timeline import Timeline
from chatd.core.errors import Refused

RETRY_AFTER = 1.0
# Messages of history that are asked for at once.
PAGE = 100
# The lists of session.state.
LISTS = ("conversations", "gone", "marks", "threads")
NOT_OURS = ("not_found", "forbidden")


class CatchUp:
    """Fetches missed events. Run `states` once, then `close_gaps` until the connection ends; call `check` when there
    may be a gap.
    """

    def __init__(self, timeline: Timeline, events: EventQueue, emit: Callable[[list[Any]], None]) -> None:
        self._timeline = timeline
        self._events = events
        self._emit = emit
        self._gap = trio.Event()

    def check(self) -> None:
        """Call it after everything that may have shown a gap."""
        if self._timeline.behind or self._timeline.own_behind:
            self._gap.set()

    async def states(self, link: Link) -> None:
        """Fetch the states that have changed since the last sync. Raises Disconnected, Refused."""
        self._timeline.own_behind = False
        cursor, more = self._timeline.cursor, True
        found: dict[str, Any] = {name: [] for name in LISTS} | {"own": False, "reset": False}
        while more:
            page = await link.call({"t": "session.sync", **({"cursor": cursor} if cursor else {})})
            for name in LISTS:
                found[name] += page.get(name, [])
            for name in ("own", "reset"):
                found[name] = found[name] or page.get(name, False)
            cursor, more = page["cursor"], page["more"]
        assert cursor is not None
        self._timeline.remove_gone(found["gone"])
        self._timeline.take_states(found["conversations"], reset=found["reset"])
        self._emit(self._timeline.states_end(cursor, found))

    async def close_gaps(self, link: Link) -> None:
        """Sync all conversations that have a gap, now and whenever a new gap is found. Raises Disconnected."""
        while True:
            if self._timeline.own_behind:
                await self._states_again(link)
            for id_ in tuple(self._timeline.behind):
                await self._close_gap(link, id_)
            if not self._timeline.behind and not self._timeline.own_behind:
                self._gap = trio.Event()
                await self._gap.wait()

    async def _states_again(self, link: Link) -> None:
        await self._events.room()
        try:
            await self.states(link)
        except Refused as refused:
            self._timeline.own_behind = True
            await trio.sleep(refused.retry_after or RETRY_AFTER)

    async def _close_gap(self, link: Link, id_: str) -> None:
        """Sync one conversation. A refusal does not delay the others; `not_found` means that the user is no longer a
        member.
        """
        try:
            while id_ in self._timeline.behind:
                await self._events.room()
                place = self._timeline.places.get(id_)
                if place is None:
                    return
                rev = place.rev
                changes = await link.call({"t": "conversation.sync", "conversation": id_, "rev": rev})
                if changes.get("reset"):
                    state = await link.call({"t": "conversation.get", "conversation": id_})
                    self._emit(self._timeline.reset(state["conversation"]))
                    continue
                known = await self._fill_hole(link, id_, changes)
                self._emit(self._timeline.take_changes(id_, changes, known))
        except Refused as refused:
            if refused.code in NOT_OURS:
                self._emit(self._timeline.forget(id_))
            else:
                await trio.sleep(refused.retry_after or RETRY_AFTER)

    async def _fill_hole(self, link: Link, id_: str, changes: dict[str, Any]) -> dict[int, int]:
        """Emit the new messages of a page, together with later changes. Returns what was emitted: rev by seq."""
        known: dict[int, int] = {}
        more = True
        while more and (hole := self._timeline.hole(id_, changes)):
            after, until = hole
            await self._events.room()
            limit = min(until - after, PAGE)
            page = await link.call({"t": "message.history", "conversation": id_, "after": after, "limit": limit})
            self._emit(self._timeline.take_history(id_, page["items"]))
            known |= {message["seq"]: message["rev"] for message in page["items"]}
            more = page["more"]
        return known
