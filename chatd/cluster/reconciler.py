"""What may have been missed is looked up in Postgres: gaps in conversations, memberships, bans, logins that have ended.

Whoever calls it need not be sure that anything is missing: looking twice does no harm.

A resync looks at what was committed since a horizon (see `conversations/commands/sync`). It moves forward with each
resync, and while all nodes are heard: what was committed `TOLD_WITHIN_S` ago has been published by then, so that a node
that dies costs a short look.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from chatd.cluster.signals import Resync
from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.core.turns import each_in_turns
from chatd.db import queries
from chatd.db.postgres import Postgres, Row
from chatd.db.unnest import columns_of
from chatd.realtime.hub import Hub
from chatd.realtime.subscriptions import News, SharedFrame
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("cluster/truth")

# Seconds that an event may be late before Postgres is asked what is missing.
PATIENCE = 0.3
USERS_AT_ONCE = 500
SESSIONS_PER_QUERY = 500
# Conversations that are looked up one by one; of more than these everything that has changed is looked up.
MAX_DOUBTFUL = 10_000
# Seconds between two looks at who must go.
PATROL = 10
# Seconds after which what was committed has surely been published by a node that is heard.
TOLD_WITHIN_S = 30.0
Close = Callable[[str, str, str, str | None, int], None]


class Truth:
    """See the module. `mend` and `patrol` run for ever; `close` ends the sessions of somebody who must go."""

    def __init__(self, hub: Hub, db: Postgres, clock: Callable[[], int], close: Close) -> None:
        self._hub = hub
        self._db = db
        self._clock = clock
        self._close = close
        self._horizon: str | None = None
        self._later_horizons: deque[tuple[float, str]] = deque()
        self._resyncing = trio.Lock()
        self.owes_resync = False
        self.condition = Condition("resync with Postgres")
        self._doubtful: set[tuple[str, str]] = set()

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
            await self._hub.tell_put_off()
            keys = self._hub.late(PATIENCE)
            with suppress(Refused):
                if keys:
                    await self._close_gaps(keys)
                while self._doubtful:
                    await self._recheck(*self._doubtful.pop())

    async def _recheck(self, tenant: str, conversation: str) -> None:
        """Who hears it, and how far it is. Raises Refused: then it stays in doubt; so it does for what is new meanwhile.

        Whoever comes while the database is asked is not in its answer, and stays.
        """
        here, audience = [user for of, user in self._hub.users() if of == tenant], self._hub.audience_of(tenant, conversation)
        try:
            row = await self._db.one(SQL.recheck, tenant, conversation, here)
            if row is not None:
                self._hub.part(tenant, conversation, audience - set(row["users"]))
                await self._learn(row)
        except Exception:
            self._doubtful.add((tenant, conversation))
            raise

    async def _close_gaps(self, keys: Sequence[tuple[str, str]]) -> None:
        """Say how far these conversations are. What is missing may be the end of a membership: nothing after it is for them."""
        told = [(*key, self._hub.rev_of(*key) or 0) for key in keys]
        async for row in each_in_turns(await self._db.all(SQL.gaps, *columns_of(told, 3))):
            self._hub.part_behind(row["tenant"], row["id"], row["departed"], row["rev"])
            await self._hub.tell_behind(row["tenant"], row["id"], row["rev"])

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
        self._hub.start_over()

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
        users = self._hub.users()
        for at in range(0, len(users), USERS_AT_ONCE):
            tenants, ids = columns_of(users[at : at + USERS_AT_ONCE], 2)
            async for row in each_in_turns(await self._db.all(SQL.changed, tenants, ids, self._horizon)):
                await self._learn(row)
            async for row in each_in_turns(await self._db.all(SQL.parted, tenants, ids, self._horizon)):
                self._hub.part_behind(row["tenant"], row["conversation"], [row["user_id"]], row["rev"])
            async for row in each_in_turns(await self._db.all(SQL.own, tenants, ids, self._horizon)):
                await self._hub.tell_user(row["tenant"], row["user"], News(SharedFrame(SessionBehind())))
        await self._close_who_must_go(users)
        self._horizon = horizon

    async def _close_who_must_go(self, users: Sequence[tuple[str, str]]) -> None:
        """Users that are banned or erased, and logins that have ended."""
        for at in range(0, len(users), USERS_AT_ONCE):
            tenants, ids = columns_of(users[at : at + USERS_AT_ONCE], 2)
            for row in await self._db.all(SQL.banned, tenants, ids, self._clock()):
                self._close(row["tenant"], row["user_id"], "banned", None, row["at"])
            for row in await self._db.all(SQL.erased, tenants, ids):
                self._hub.close_sessions(row["tenant"], row["user_id"], "logged_out", at=row["at"])
        await self._close_ended_logins()

    async def _close_ended_logins(self) -> None:
        """Sessions whose login has ended or whose token is revoked: what is read is bounded by the sessions of this node."""
        sessions = list(self._hub.sessions.values())
        for at in range(0, len(sessions), SESSIONS_PER_QUERY):
            some = sessions[at : at + SESSIONS_PER_QUERY]
            keys = columns_of([(one.id, one.tenant, one.login or None, one.token_id) for one in some], 4)
            for row in await self._db.all(SQL.ended_sessions, *keys):
                self._hub.close_these(self._hub.find(row["tenant"], None, row["session"]), "logged_out", at=row["at"])

    async def patrol(self) -> None:
        """For ever: an order can be lost without a trace, a ban must not be. And a resync that was put off is made up for."""
        while True:
            for _ in range(PATROL):
                await trio.sleep(1)
                if self.owes_resync:
                    await self.resync()
            with suppress(Refused):
                await self._close_who_must_go(self._hub.users())

    async def _learn(self, row: Row) -> None:
        """A conversation that has changed: its members hear it, and are told when they are behind. Raises Refused."""
        tenant, id_, rev = row["tenant"], row["id"], row["rev"]
        if row["kind"] == "match" and self._hub.veils is not None:
            self._hub.hide(tenant, id_, await self._hub.veils.strangers(tenant, id_, row["users"]))
        before = self._hub.rev_of(tenant, id_)
        self._hub.join(tenant, id_, row["users"], 0 if before is None else before)
        self._hub.hush(tenant, id_, row["blocked"])
        await self._hub.tell_behind(tenant, id_, rev)
