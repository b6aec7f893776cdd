"""Closes the sessions from a banned range of addresses, on every node. `bans.py` explains how ranges are stored.

The hashes of an address are computed only when there is a ban: each address has one for every range that contains it.
"""

from collections.abc import Callable
from contextlib import suppress

import trio

from chatd.accounts.bans import address_hashes
from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub

SQL = queries.load("accounts/bans")
# How long the sweep closes sessions of a new ban. Later sign-ins are refused.
RECENT_MS = 300_000
# Sessions between two checkpoints.
SESSIONS_PER_TURN = 100


class CloseRange(ControlMessage, array_like=True, tag="close-range"):
    """Close the sessions from a range of addresses. `hash`: as stored. `at`: when the ban was committed, in
    milliseconds.
    """

    tenant: str
    hash: bytes
    at: int

    async def apply(self, receiver: Receiver) -> None:
        await receiver.services.get(RangeBans).close(self.tenant, self.hash, self.at)


class RangeBans:
    """The sweep of this node."""

    def __init__(self, config: Config, db: Postgres, hub: Hub, clock: Callable[[], int]) -> None:
        self._config = config
        self._db = db
        self._hub = hub
        self._clock = clock

    async def run(self) -> None:
        """Sweep until cancelled: control messages can be lost, and sessions may sign in at the same time."""
        while True:
            await trio.sleep(self._config.cluster.sweep_s)
            with suppress(Refused):
                await self._sweep()

    async def _sweep(self) -> None:
        """Close the sessions of all ranges in force. Raises Refused."""
        tenants, now = list({session.tenant for session in self._hub.connections.by_id.values()}), self._clock()
        for row in await self._db.all(SQL.recent_address_bans, tenants, now, now - RECENT_MS):
            await self.close(row["tenant"], row["address_hash"], row["at"])

    async def close(self, tenant: str, hash_: bytes, at: int) -> None:
        meant: dict[str, bool] = {}
        found = []
        for turn, session in enumerate(list(self._hub.connections.by_id.values()), start=1):
            if session.tenant == tenant:
                if session.address not in meant:
                    meant[session.address] = hash_ in address_hashes(self._config, session.address)
                if meant[session.address]:
                    found.append(session)
            if turn % SESSIONS_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
        self._hub.close_some(found, "banned", at=at)
