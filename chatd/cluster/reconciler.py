"""Looks up in Postgres what this node may have missed, when control messages or events may have been lost.

Subsystems register what they look up. A check can run when nothing is missing: looking twice does no harm.

A resync looks at what was committed since a horizon (see `conversations/commands/sync`). It moves forward with each
resync, and while all nodes are heard: what was committed `TOLD_WITHIN_S` ago has been published by then, so that a node
that dies costs a short look.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import trio

from chatd.cluster.signals import Resync
from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.core.identity import UserKey
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub

SQL = queries.load("cluster/reconciler")

# Seconds that an event may be late before Postgres is asked what is missing.
PATIENCE = 0.3
USERS_AT_ONCE = 500
# Conversations that are looked up one by one; of more than these everything that has changed is looked up.
MAX_DOUBTFUL = 10_000
# Seconds between two runs of the checks that always run.
PATROL = 10
# Seconds after which what was committed has surely been published by a node that is heard.
TOLD_WITHIN_S = 30.0
# Looks up what users of this node (tenant, id) may have missed since a horizon, and applies it. Raises Refused.
Check = Callable[[Sequence[UserKey], str], Awaitable[None]]


class Topics(Protocol):
    """Looks up conversations that sessions of this node are subscribed to."""

    async def close_gaps(self, keys: Sequence[tuple[str, str]]) -> None:
        """Say how far these conversations (tenant, id) are. Raises Refused."""

    async def recheck(self, tenant: str, conversation: str) -> None:
        """Apply who its members are, and how far it is. Raises Refused."""


class Reconciler:
    """See the module. `mend` and `patrol` run for ever."""

    def __init__(self, hub: Hub, db: Postgres) -> None:
        self._hub = hub
        self._db = db
        self._checks: list[Check] = []
        self._sweeps: list[Check] = []
        self._topics: Topics | None = None
        self._horizon: str | None = None
        self._later_horizons: deque[tuple[float, str]] = deque()
        self._resyncing = trio.Lock()
        self.owes_resync = False
        self.condition = Condition("resync with Postgres")
        self._doubtful: set[tuple[str, str]] = set()

    def register(self, check: Check, *, always: bool = False) -> None:
        """Call it with users of this node whenever control messages may have been lost.

        `always`: every PATROL seconds as well, because a loss can leave no trace. The horizon is "0" then.
        """
        (self._sweeps if always else self._checks).append(check)

    def watch_topics(self, topics: Topics) -> None:
        """Who looks up how far conversations are."""
        self._topics = topics

    def doubt(self, tenant: str, conversation: str) -> None:
        """Something of this conversation may have changed without anybody being told. It is looked up soon."""
        if len(self._doubtful) >= MAX_DOUBTFUL:
            self._doubtful.clear()
            self.owes_resync = True
        self._doubtful.add((tenant, conversation))

    async def mend(self) -> None:
        """For ever: where something is missing for too long, say how far the conversation is."""
        while True:
            await trio.sleep(PATIENCE / 3)
            await self._hub.subscriptions.deliver_deferred_gaps()
            keys = self._hub.subscriptions.gaps.overdue(PATIENCE)
            if self._topics is None:
                continue
            with suppress(Refused):
                if keys:
                    await self._topics.close_gaps(keys)
                while self._doubtful:
                    await self._recheck(self._topics, *self._doubtful.pop())

    async def _recheck(self, topics: Topics, tenant: str, conversation: str) -> None:
        """Raises Refused: then it stays in doubt; so it does for what is new meanwhile."""
        try:
            await topics.recheck(tenant, conversation)
        except Exception:
            self._doubtful.add((tenant, conversation))
            raise

    def note_standing(self, horizon: str) -> None:
        """The horizon of now, at a time when all nodes are heard."""
        now = trio.current_time()
        self._later_horizons.append((now, horizon))
        while self._later_horizons[0][0] <= now - TOLD_WITHIN_S:
            self._horizon = self._later_horizons.popleft()[1]

    async def begin(self) -> None:
        """Call it before anybody is let in: what changes from now on is heard, or found by `resync`."""
        self._horizon = await self._db.value(SQL.horizon)

    async def start_over(self) -> None:
        """The database is another one: what is known of conversations and sessions counts no more."""
        self._later_horizons.clear()
        self._doubtful.clear()
        await self.begin()
        await self._hub.reset()

    async def resync(self) -> None:
        """Orders may have been lost: find out what they would have said. A database that is away is asked again later."""
        async with self._resyncing:
            self.owes_resync = True
            # What is refused because the database is away is logged there.
            with self.condition.watch(), suppress(Refused):
                await self._hub.signals.send(Resync())
                await self._resync()
                self.owes_resync = False

    async def _resync(self) -> None:
        self._later_horizons.clear()
        horizon = await self._db.value(SQL.horizon)
        await self._run([*self._checks, *self._sweeps], self._horizon or horizon)
        self._horizon = horizon

    async def _run(self, checks: Sequence[Check], horizon: str) -> None:
        users = self._hub.connections.users()
        for at in range(0, len(users), USERS_AT_ONCE):
            for check in checks:
                await check(users[at : at + USERS_AT_ONCE], horizon)

    async def patrol(self) -> None:
        """For ever: an order can be lost without a trace, a ban must not be. And a resync that was put off is made up for."""
        while True:
            for _ in range(PATROL):
                await trio.sleep(1)
                if self.owes_resync:
                    await self.resync()
            with suppress(Refused):
                await self._run(self._sweeps, "0")
