"""The states of users who connect, looked up in batches.

When many connect at once, a statement for each costs more than the rest of the connection. At most MAX_STATEMENTS run
at a time; later users wait, and the next statement is for all of them. A single client does not wait.

A batch is bounded in users and in rows, so no user waits for the many conversations of another one: those are read by a
separate statement. After a failure of a batch, each of its users is looked up alone, and gets their own outcome.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Any

import trio

from chatd.accounts.bans import MAX_HASHES
from chatd.core.identity import Principal
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres, Row

SQL = queries.load("accounts/sign_in")
MAX_STATEMENTS = 2
MAX_BATCH = 32
# Conversations of one user that a batch reads.
MAX_CONVERSATIONS = 200


class Turn(Enum):
    """The next step of a waiting task."""

    WAIT = 1
    LEAD = 2
    ALONE = 3


class LookUp:
    """A user whose state is looked up. `done` is set with `row` or `turn`."""

    __slots__ = ("address_hashes", "done", "now", "principal", "row", "turn")

    def __init__(self, principal: Principal, address_hashes: Sequence[bytes], now: int) -> None:
        self.principal = principal
        self.address_hashes = address_hashes
        self.now = now
        self.row: Row | None = None
        self.turn = Turn.WAIT
        self.done = trio.Event()

    @property
    def key(self) -> tuple[str, str, str, str | None]:
        principal = self.principal
        return principal.tenant, principal.user, principal.token_id, principal.login or None


class SessionStates:
    """Looks up the states of users who connect. `of` may be called by any number of tasks. `batches` counts their
    statements.
    """

    def __init__(
        self,
        db: Postgres,
        *,
        max_statements: int = MAX_STATEMENTS,
        max_batch: int = MAX_BATCH,
        max_conversations: int = MAX_CONVERSATIONS,
    ) -> None:
        self._db = db
        self._max_batch = max_batch
        self._max_conversations = max_conversations
        self._free = max_statements
        self.batches = 0
        self._waiting: deque[LookUp] = deque()

    async def of(self, principal: Principal, address_hashes: Sequence[bytes], now: int) -> Row:
        """The row of the statement `session_state`, by a statement that begins after the call. Raises Refused."""
        look_up = LookUp(principal, address_hashes, now)
        if self._free:
            self._free -= 1
            await self._lead(look_up)
        else:
            self._waiting.append(look_up)
            await self._wait(look_up)
        if look_up.row is None:
            return await self._alone(look_up)
        return look_up.row

    async def _wait(self, look_up: LookUp) -> None:
        try:
            await look_up.done.wait()
        except trio.Cancelled:
            if look_up in self._waiting:
                self._waiting.remove(look_up)
            if look_up.turn is Turn.LEAD:
                self._pass_on()
            raise
        if look_up.turn is Turn.LEAD:
            await self._lead(look_up)

    async def _lead(self, look_up: LookUp) -> None:
        """Run the next statement, for this user and those who wait; then let the next task lead."""
        count = min(len(self._waiting), self._max_batch - 1)
        batch = [look_up, *(self._waiting.popleft() for _ in range(count))]
        try:
            await self._look_up(batch)
        except Exception:
            if len(batch) == 1:
                raise
        finally:
            for look_up in batch:
                look_up.turn = Turn.ALONE
                look_up.done.set()
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            leader = self._waiting.popleft()
            leader.turn = Turn.LEAD
            leader.done.set()
        else:
            self._free += 1

    async def _look_up(self, batch: Sequence[LookUp]) -> None:
        """Set the rows of all users, except those with too many conversations."""
        self.batches += 1
        hashes = [hash_ for look_up in batch for hash_ in padded(look_up.address_hashes)]
        now = min(look_up.now for look_up in batch)
        keys = to_unnest_arrays([look_up.key for look_up in batch], 4)
        rows = await self._db.all(SQL.session_states, *keys, hashes, MAX_HASHES, now, self._max_conversations)
        for row in rows:
            if not row["too_many"]:
                batch[row["number"] - 1].row = row

    async def _alone(self, look_up: LookUp) -> Row:
        row = await self._db.one(SQL.session_state, *look_up.key, list(look_up.address_hashes), look_up.now)
        assert row is not None
        return row


def padded(hashes: Sequence[bytes]) -> list[Any]:
    """The hashes of one address, of which an IPv6 address has the most."""
    return [*hashes, *[None] * (MAX_HASHES - len(hashes))]
