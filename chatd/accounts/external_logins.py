"""Logins of users who sign in at an identity provider: one for each of its sessions.

`auth.session_claim` names the claim with the id of the session. A login is made by the first sign-in with it, and noted
as seen once an hour, so that most sign-ins write nothing. Tokens of an ended login are refused, however often the
provider renews them; so an ended login is kept longer than other ones.
"""

from chatd.accounts.logins import Login, LoginAdded, LoginEnded, network_of
from chatd.accounts.settings import AccountLimits
from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import CloseUserSessions
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.db import queries
from chatd.db.batches import BATCH_SIZE, delete_all
from chatd.db.postgres import Postgres, Tx

SQL = queries.load("accounts/external_logins")
SEEN_EVERY_MS = 3_600_000
# Logins that were not used for so long are forgotten; a later sign-in makes them again.
KEEP_UNUSED_MS = 90 * 86_400_000
# Longer than any session of a provider.
KEEP_ENDED_MS = 400 * 86_400_000


class ExternalLogins:
    """Makes and updates the logins of tokens of identity providers."""

    def __init__(self, config: Config, db: Postgres, cluster: Cluster) -> None:
        self._most = config.get(AccountLimits).logins_per_user
        self._db = db
        self._cluster = cluster

    async def see(self, principal: Principal, address: str, last_seen: int | None, now: int) -> None:
        """Note that a login is used. `last_seen`: null if it does not exist yet.

        Raises Refused: `unauthenticated` if it has just ended.
        """
        if last_seen is not None and now - last_seen < SEEN_EVERY_MS:
            return
        login = Login(principal.login, None, None, now, now, network_of(address))
        added = await self._db.in_transaction(see_login, principal, login, self._most)
        if added is None:
            return
        tenant, user = principal.tenant, principal.user
        for ended in added:
            await self._cluster.broadcast(CloseUserSessions(tenant, user, "logged_out", ended, now))
        if added:
            await self._cluster.deliver_to_user(tenant, user, LoginEnded(added))
        await self._cluster.deliver_to_user(tenant, user, LoginAdded(login))


async def see_login(tx: Tx, principal: Principal, login: Login, most: int) -> list[str] | None:
    """Make or update a login. Returns None, or for a new one the oldest logins, which end because of it.

    Raises Refused: `unauthenticated` if it has ended.
    """
    tenant, user = principal.tenant, principal.user
    is_new: bool | None = await tx.value(SQL.see, tenant, login.id, user, login.last_seen, login.address)
    if is_new is None:
        raise Refused("unauthenticated", "this login has ended")
    if not is_new:
        return None
    return [row["id"] for row in await tx.all(SQL.end_oldest, tenant, user, most, login.last_seen)]


async def sweep(db: Postgres, now: int, *, batch_size: int = BATCH_SIZE) -> None:
    """Delete logins that were not used for long, and those that have ended long ago."""
    await delete_all(db, SQL.sweep_unused, now - KEEP_UNUSED_MS, batch_size=batch_size)
    await delete_all(db, SQL.sweep_ended, now - KEEP_ENDED_MS, batch_size=batch_size)
