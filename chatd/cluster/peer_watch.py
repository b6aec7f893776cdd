"""Detects that changes of other nodes may be missing, and has them looked up in Postgres until they are not.

The signs: this node does not read its own entries of the bus back; a known node has been silent for too long; Postgres has
connections of a node that was never heard. What such a node commits is told to nobody here, for as long as it lasts.

Postgres knows whether a silent node is dead: a node that has no connection can commit nothing, and what it committed before is
visible. A node that is cut from Redis, was stopped, or talks to another Redis since a failover still has its connections.

It also notices that the database was restored under the running nodes (another epoch, see `conversations/commands/sync.py`).
"""

import trio

from chatd.cluster.bus import BEAT, Bus
from chatd.cluster.reconciler import Reconciler
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.db import queries
from chatd.db.postgres import Postgres

LOG = log.get(__name__)
SQL = queries.load("cluster/reconciler")

# Seconds between two looks at the clock, at the connections of Postgres, and into Postgres while something may be missing.
TICK_S = 0.25
LOOK_S = 2.0
POLL_S = 2.0


class PeerWatch:
    """`run` it beside the bus."""

    def __init__(self, bus: Bus, db: Postgres, reconciler: Reconciler) -> None:
        self._bus = bus
        self._db = db
        self._reconciler = reconciler
        self._epoch = ""
        self.condition = Condition("cluster bus")

    async def run(self) -> None:
        """For ever."""
        look_at = trio.current_time()
        while True:
            await trio.sleep(TICK_S)
            if self._is_something_wrong():
                await self._catch_up()
            elif self.condition.failing:
                await self._end_doubt()
            elif trio.current_time() >= look_at:
                look_at = trio.current_time() + LOOK_S
                await self._look()

    def _is_something_wrong(self) -> bool:
        return not self._bus.well or bool(self._bus.silent())

    async def _look(self) -> None:
        """While all is well: which nodes there are, and from where a later look has to begin."""
        standing = await self._standing()
        if standing is not None:
            nodes, horizon = standing
            self._bus.expect(nodes)
            self._reconciler.note_standing(horizon)

    async def _catch_up(self) -> None:
        """Look up what was missed, connect to Redis anew unless all who are silent are dead, and wait for the next look."""
        silent, well = self._bus.silent(), self._bus.well
        self.condition.fail(f"no word of nodes {', '.join(sorted(silent))}" if well else "own entries do not come back")
        started = trio.current_time()
        standing = await self._standing()
        await self._bus.miss(self._reconciler.resync)
        if standing is not None and not self._reconciler.owes_resync:
            self._bus.expect(standing[0])
            self._bus.forget(silent - standing[0])
        if self._is_something_wrong():
            await self._bus.reconnect()
            await self._wait(max(POLL_S, trio.current_time() - started))

    async def _standing(self) -> tuple[set[str], str] | None:
        """The nodes that have connections to Postgres, and the horizon; None when it is away."""
        try:
            row = await self._db.one(SQL.standing)
        except Refused:
            return None
        assert row is not None
        if self._epoch not in ("", row["epoch"]):
            LOG.warning("the database was restored from a backup: all sessions are closed, and come back")
            await self._reconciler.start_over()
        self._epoch = row["epoch"]
        return set(row["nodes"]), row["horizon"]

    async def _wait(self, seconds: float) -> None:
        """Until the next look, or until all is well."""
        with trio.move_on_after(seconds):
            while self._is_something_wrong():
                await trio.sleep(TICK_S)

    async def _end_doubt(self) -> None:
        """Once more when it is over, and again: the others may have thought that this node was dead, until they heard of it."""
        self.condition.recover()
        await self._bus.miss(self._reconciler.resync)
        await trio.sleep(2 * BEAT)
        await self._bus.miss(self._reconciler.resync)
