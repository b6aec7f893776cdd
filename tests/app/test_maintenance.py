"""Maintenance mode, as one node sees it."""

from typing import Any

import trio

from chatd.app.maintenance import Maintenance, MaintenanceSwitched, change
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub
from tests.support import PATIENCE, operator


class SlowOnce:
    """A database whose first answer comes late."""

    def __init__(self, db: Postgres) -> None:
        self._db = db
        self.asked, self.answer = trio.Event(), trio.Event()

    async def one(self, sql: str, *args: Any) -> Any:
        row = await self._db.one(sql, *args)
        if not self.asked.is_set():
            self.asked.set()
            await self.answer.wait()
        return row


async def test_later_of_two_concurrent_reads_wins(db: Postgres) -> None:
    """Maintenance ends while its beginning is still being read; otherwise matching would stay paused."""
    slow, paused, hub = SlowOnce(db), list[bool](), Hub()
    hub.signals.on_sync(MaintenanceSwitched, lambda signal: paused.append(signal.enabled))
    maintenance = Maintenance(slow, hub)  # type: ignore[arg-type]
    await change(db, operator(), True, "", None)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(maintenance.refresh)
            await slow.asked.wait()
            await change(db, operator(), False, "", None)
            nursery.start_soon(maintenance.refresh)
            # In which the second one would answer, if it did not wait for the first.
            await trio.sleep(0.2)
            slow.answer.set()
    assert not maintenance.enabled
    assert paused == [True, False]
