"""The reconciler reads from Postgres what this node may have missed when control messages or events were lost.

Subsystems register checks. A check may run when nothing is missing: running it twice does no harm.

A resync covers what was committed since a horizon (see `conversations/commands/sync`). The horizon advances with each
resync, and while all nodes are alive: what was committed `PUBLISHED_WITHIN_S` ago has been published by then, so that
the resync after the death of a node is short.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import trio

from chatd.cluster.signals import Resync
from chatd.core.config import ClusterTimes
from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.core.identity import UserKey
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub

SQL = queries.load("cluster/reconciler")

# Time that an event may be late before Postgres is queried for what is missing.
GAP_TIMEOUT_S = 0.3
USERS_PER_QUERY = 500
# Conversations that are checked one by one; of more, a resync checks all that have changed.
MAX_SUSPECTS = 10_000
# Time after a commit when a node that is alive has published it.
PUBLISHED_WITHIN_S = 30.0
# Reads what users of this node (tenant, id) may have missed since a horizon, and applies it. Raises Refused.
Check = Callable[[Sequence[UserKey], str], Awaitable[None]]


class Topics(Protocol):
    """Checks conversations with subscribers on this node."""

    async def close_gaps(self, keys: Sequence[tuple[str, str]]) -> None:
        """Deliver `behind` up to the current rev of these conversations (tenant, id). Raises Refused."""

    async def recheck(self, tenant: str, conversation: str) -> None:
        """Apply the current members and rev of a conversation. Raises Refused."""


class Reconciler:
    """Runs the checks of this node. `repair_gaps` and `sweep` run in the background."""

    def __init__(self, hub: Hub, db: Postgres, times: ClusterTimes) -> None:
        self._hub = hub
        self._db = db
        self._times = times
        self._checks: list[Check] = []
        self._sweep_checks: list[Check] = []
        self._topics: Topics | None = None
        self._horizon: str | None = None
        self._later_horizons: deque[tuple[float, str]] = deque()
        self._resyncing = trio.Lock()
        self.owes_resync = False
        self.condition = Condition("resync with Postgres")
        self._suspects: set[tuple[str, str]] = set()

    def register(self, check: Check, *, always: bool = False) -> None:
        """Run a check for the users of this node whenever control messages may have been lost.

        `always`: also every `sweep_s`, with the horizon "0", because a loss can leave no trace.
        """
        (self._sweep_checks if always else self._checks).append(check)

    def use_topics(self, topics: Topics) -> None:
        """Set the object that checks conversations."""
        self._topics = topics

    def mark_suspect(self, tenant: str, conversation: str) -> None:
        """Check a conversation soon: it may have changed without an event."""
        if len(self._suspects) >= MAX_SUSPECTS:
            self._suspects.clear()
            self.owes_resync = True
        self._suspects.add((tenant, conversation))

    async def repair_gaps(self) -> None:
        """Run forever: deliver `behind` in conversations in which events are missing for too long."""
        while True:
            await trio.sleep(GAP_TIMEOUT_S / 3)
            await self._hub.subscriptions.deliver_deferred_gaps()
            keys = self._hub.subscriptions.gaps.overdue(GAP_TIMEOUT_S)
            if self._topics is None:
                continue
            with suppress(Refused):
                if keys:
                    await self._topics.close_gaps(keys)
                while self._suspects:
                    await self._recheck(self._topics, *self._suspects.pop())

    async def _recheck(self, topics: Topics, tenant: str, conversation: str) -> None:
        """Check one conversation. If that raises Refused, it is checked again."""
        try:
            await topics.recheck(tenant, conversation)
        except Exception:
            self._suspects.add((tenant, conversation))
            raise

    def note_horizon(self, horizon: str) -> None:
        """Note the present horizon, while all nodes are alive."""
        now = trio.current_time()
        self._later_horizons.append((now, horizon))
        while self._later_horizons[0][0] <= now - PUBLISHED_WITHIN_S:
            self._horizon = self._later_horizons.popleft()[1]

    async def begin(self) -> None:
        """Call before the first client is admitted: later changes arrive as events, or are found by `resync`."""
        self._horizon = await self._db.value(SQL.horizon)

    async def reset(self) -> None:
        """Forget revs and close all sessions, because the database is another one."""
        self._later_horizons.clear()
        self._suspects.clear()
        await self.begin()
        await self._hub.reset()

    async def resync(self) -> None:
        """Run all checks, because control messages may have been lost. If Postgres is unavailable, they run later."""
        async with self._resyncing:
            self.owes_resync = True
            # Refusals of an unavailable database are logged there.
            with self.condition.watch(), suppress(Refused):
                await self._hub.signals.send(Resync())
                await self._resync()
                self.owes_resync = False

    async def _resync(self) -> None:
        self._later_horizons.clear()
        horizon = await self._db.value(SQL.horizon)
        await self._run([*self._checks, *self._sweep_checks], self._horizon or horizon)
        self._horizon = horizon

    async def _run(self, checks: Sequence[Check], horizon: str) -> None:
        users = self._hub.connections.users()
        for at in range(0, len(users), USERS_PER_QUERY):
            for check in checks:
                await check(users[at : at + USERS_PER_QUERY], horizon)

    async def sweep(self) -> None:
        """Run forever: the checks that always run, and a resync that has failed. A lost ban must not go unnoticed."""
        while True:
            sweep_at = trio.current_time() + self._times.sweep_s
            while trio.current_time() < sweep_at:
                await trio.sleep(self._times.heartbeat)
                if self.owes_resync:
                    await self.resync()
            with suppress(Refused):
                await self._run(self._sweep_checks, "0")
