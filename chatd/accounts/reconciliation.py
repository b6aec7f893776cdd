"""Finds sessions that must end after control messages may have been lost. See `cluster/reconciler`."""

from collections.abc import Callable, Sequence

from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import CloseUserSessions
from chatd.core.identity import UserKey
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub

SQL = queries.load("accounts/reconciliation")


class AccountChecks:
    """The checks of this subsystem for the reconciler."""

    def __init__(self, hub: Hub, cluster: Cluster, db: Postgres, clock: Callable[[], int]) -> None:
        self._hub = hub
        self._cluster = cluster
        self._db = db
        self._clock = clock

    async def check(self, users: Sequence[UserKey], horizon: str) -> None:
        """Close the sessions of banned, erased and deactivated users, of logins that have ended, and of revoked tokens.

        Raises Refused.
        """
        tenants, ids = to_unnest_arrays(users, 2)
        for row in await self._db.all(SQL.banned, tenants, ids, self._clock()):
            await CloseUserSessions(row["tenant"], row["user_id"], "banned", None, row["at"]).apply(self._cluster)
        for row in await self._db.all(SQL.erased, tenants, ids):
            self._hub.close_sessions(row["tenant"], row["user_id"], "logged_out", at=row["at"])
        sessions = [session for tenant, user in users for session in self._hub.connections.find(tenant, user, None)]
        keys = to_unnest_arrays([(one.id, one.tenant, one.login or None, one.token_id) for one in sessions], 4)
        for row in await self._db.all(SQL.ended_sessions, *keys):
            self._hub.close_some(
                self._hub.connections.find(row["tenant"], None, row["session"]), "logged_out", at=row["at"]
            )
