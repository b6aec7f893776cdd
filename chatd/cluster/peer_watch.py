"""Detects that changes of other nodes may be missing, and has them read from Postgres until all nodes are alive.

The signs: this node does not read its own entries of the bus back; a known node is silent for too long; Postgres has
connections of a node that never wrote to the bus. The commits of such a node reach no client here, as long as that
lasts.

Postgres shows whether a silent node is dead: a node without connections can commit nothing, and what it committed
before is visible. A node that is cut off from Redis, is stopped, or uses another Redis since a failover still has its
connections.

It also detects that the database was restored under the running nodes (another epoch, see
`conversations/commands/sync.py`).
"""

import trio

from chatd.cluster.bus import Bus
from chatd.cluster.reconciler import Reconciler
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.db import queries
from chatd.db.postgres import Postgres

LOG = log.get(__name__)
SQL = queries.load("cluster/reconciler")

TICK_S = 0.25


class PeerWatch:
    """Watches the other nodes. `run` it in the background."""

    def __init__(self, bus: Bus, db: Postgres, reconciler: Reconciler) -> None:
        self._bus = bus
        self._db = db
        self._reconciler = reconciler
        self._epoch = ""
        self._tick_s = min(TICK_S, bus.times.heartbeat / 2)
        self.condition = Condition("cluster bus")

    async def run(self) -> None:
        """Run forever."""
        check_at = trio.current_time()
        while True:
            await trio.sleep(self._tick_s)
            if self._is_something_wrong():
                await self._catch_up()
            elif self.condition.failing:
                await self._recover()
            elif trio.current_time() >= check_at:
                check_at = trio.current_time() + self._bus.times.check_s
                await self._check()

    def _is_something_wrong(self) -> bool:
        return not self._bus.is_healthy or bool(self._bus.silent())

    async def _check(self) -> None:
        """While all nodes are alive: note them, and the horizon for a later resync."""
        state = await self._read_state()
        if state is not None:
            nodes, horizon = state
            self._bus.expect(nodes)
            self._reconciler.note_horizon(horizon)

    async def _catch_up(self) -> None:
        """Resync, reconnect to Redis unless all silent nodes are dead, and wait for the next resync."""
        silent, is_healthy = self._bus.silent(), self._bus.is_healthy
        self.condition.fail(
            f"nodes {', '.join(sorted(silent))} are silent"
            if is_healthy
            else "this node does not read its own entries back"
        )
        started = trio.current_time()
        state = await self._read_state()
        await self._bus.report_gap(self._reconciler.resync)
        if state is not None and not self._reconciler.owes_resync:
            self._bus.expect(state[0])
            self._bus.forget(silent - state[0])
        if self._is_something_wrong():
            await self._bus.reconnect()
            await self._wait(max(self._bus.times.check_s, trio.current_time() - started))

    async def _read_state(self) -> tuple[set[str], str] | None:
        """The nodes with connections to Postgres, and the horizon. None if Postgres is unavailable."""
        try:
            row = await self._db.one(SQL.cluster_state)
        except Refused:
            return None
        assert row is not None
        if self._epoch not in ("", row["epoch"]):
            LOG.warning("the database was restored from a backup: all sessions are closed, and clients reconnect")
            await self._reconciler.reset()
        self._epoch = row["epoch"]
        return set(row["nodes"]), row["horizon"]

    async def _wait(self, seconds: float) -> None:
        """Wait until the next resync, or until all nodes are alive."""
        with trio.move_on_after(seconds):
            while self._is_something_wrong():
                await trio.sleep(self._tick_s)

    async def _recover(self) -> None:
        """Resync at the end, and again later: other nodes may have considered this one dead and not published to it."""
        self.condition.recover()
        await self._bus.report_gap(self._reconciler.resync)
        await trio.sleep(2 * self._bus.times.heartbeat)
        await self._bus.report_gap(self._reconciler.resync)
