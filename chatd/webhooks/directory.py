"""The endpoints that get events, as this node knows them."""

from collections import Counter
from typing import Any

import trio
from msgspec import Struct

from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.core.errors import Refused
from chatd.core.ids import NIL
from chatd.db import queries
from chatd.db.postgres import Database
from chatd.webhooks.signing import secret_of

SQL = queries.load("webhooks/endpoints")
PAGE = 500


class Endpoint(Struct):
    """An endpoint that gets events. `bot`: whose it is; None: of the backend. `secrets`: the present one, and the
    previous one during a rotation.
    """

    tenant: str
    id: str
    url: str
    secrets: tuple[bytes, ...]
    failing_since: int | None
    bot: str | None = None


class EndpointsChanged(ControlMessage, array_like=True, tag="webhooks-changed"):
    """Endpoints of a tenant were added, changed or removed, or some of their events are due."""

    async def apply(self, receiver: Receiver) -> None:
        receiver.services.get(Directory).mark_changed()


class Directory:
    """Reads the endpoints every `refresh_s` seconds, and when they have changed."""

    def __init__(self, db: Database, installation_secret: str, *, refresh_s: float) -> None:
        self.by_id: dict[str, Endpoint] = {}
        # The number of endpoints of each tenant.
        self.tenants = Counter[str]()
        # Set after each read, and replaced by another one.
        self.was_read = trio.Event()
        self._db = db
        self._secret = installation_secret
        self._refresh_s = refresh_s
        self._changed = trio.Event()

    def mark_changed(self) -> None:
        """Read the endpoints at once."""
        self._changed.set()

    async def run(self) -> None:
        """Run forever."""
        while True:
            self._changed = trio.Event()
            try:
                await self.refresh()
            except Refused:
                await trio.sleep(self._refresh_s)
                continue
            self.was_read.set()
            self.was_read = trio.Event()
            with trio.move_on_after(self._refresh_s):
                await self._changed.wait()

    async def refresh(self) -> None:
        """Read the endpoints. Raises Refused."""
        found: dict[str, Endpoint] = {}
        after, has_more = (NIL, ""), True
        while has_more:
            rows = await self._db.all(SQL.active, *after, PAGE)
            found |= {row["id"]: self._endpoint(row) for row in rows}
            has_more = len(rows) == PAGE
            after = (rows[-1]["id"], rows[-1]["tenant"]) if has_more else after
        self.by_id, self.tenants = found, Counter(endpoint.tenant for endpoint in found.values())

    def _endpoint(self, row: Any) -> Endpoint:
        salts = (salt for salt in (row["salt"], row["previous_salt"]) if salt is not None)
        secrets = tuple(secret_of(self._secret, row["id"], salt) for salt in salts)
        return Endpoint(row["tenant"], row["id"], row["url"], secrets, row["failing_since"], row["bot"])
