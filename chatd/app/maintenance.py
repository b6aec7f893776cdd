"""Maintenance mode: the node runs on, matching is paused, and all users are notified. Postgres holds the state; control
messages make nodes read it at once.
"""

import trio
from msgspec import UNSET, Struct

from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.cluster.signals import Resync
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres, Tx
from chatd.realtime.hub import Hub
from chatd.wire.connection_events import MaintenanceMode

SQL = queries.load("app/maintenance")
MESSAGE = "The server is under maintenance: messages are delivered, matching is paused."
OVER = "The maintenance is over."


class MaintenanceSwitched(Struct, frozen=True):
    """Signal: maintenance mode has been switched on this node."""

    enabled: bool


class MaintenanceChanged(ControlMessage, array_like=True, tag="maintenance"):
    """Read from Postgres whether the cluster is under maintenance."""

    async def apply(self, receiver: Receiver) -> None:
        await receiver.services.get(Maintenance).refresh()


class Maintenance:
    """Whether this cluster is in maintenance mode. `check` refuses what has to wait until it is over."""

    def __init__(self, db: Postgres, hub: Hub) -> None:
        self.enabled = False
        self.message = MESSAGE
        self.retry_after: float | None = None
        self._db = db
        self._hub = hub
        self._refreshing = trio.Lock()
        hub.signals.on(Resync, self.refresh)

    def check(self) -> None:
        """Refuse a command during maintenance. Raises Refused: `maintenance`."""
        if self.enabled:
            raise Refused("maintenance", self.message, retry_after=self.retry_after)

    async def refresh(self, _: object = None) -> None:
        """Read the state, and notify all users if it has changed. Raises Refused.

        One read at a time: of two reads, the earlier answer could arrive later and win.
        """
        async with self._refreshing:
            row = await self._db.one(SQL.get)
            before, self.enabled = self.enabled, bool(row and row["enabled"])
            if row is not None:
                self.message, self.retry_after = row["message"] or MESSAGE, row["retry_after"]
            if self.enabled != before:
                await self._hub.signals.send(MaintenanceSwitched(self.enabled))
                await self._hub.deliver_to_all(self.notice())

    def notice(self) -> MaintenanceMode:
        """The event for users."""
        again = UNSET if self.retry_after is None else self.retry_after
        return MaintenanceMode(enabled=self.enabled, message=self.message if self.enabled else OVER, retry_after=again)


async def change(tx: Tx, actor: AuditActor, enabled: bool, message: str, retry_after: float | None) -> None:
    """Write the new state; the caller broadcasts `MaintenanceChanged`. `retry_after` in seconds."""
    await tx.run(SQL.set, enabled, message, retry_after, actor.now)
    await audit_log.write(tx, actor, "maintenance.on" if enabled else "maintenance.off", "all nodes")
