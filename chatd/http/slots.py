"""Limits how many operations of one kind run at the same time: per user, per address, and in total.

The total is checked after the other two limits, so that no single client can use it up.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio
from msgspec import Struct

from chatd.core.addresses import bucket, is_trusted, parse_networks
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.identity import Principal

RETRY_S = 1
# Seconds that a request waits for its turn.
TURN_TIMEOUT_S = 10.0


class Bounds(Struct, frozen=True):
    """Limits of simultaneous slots."""

    per_user: int
    per_address: int
    total: int


class Owner(Struct, frozen=True):
    """The owner of a slot; an empty field has no limit."""

    user: str = ""
    address: str = ""


class Owners:
    """The owner of each request. A backend of the operator acts for many users, so its address has no limit."""

    def __init__(self, config: Config) -> None:
        self._backends = parse_networks(config.http.backends)

    def of(self, who: Principal | None, address: str) -> Owner:
        return self._owner(f"{who.tenant} {who.user}" if who else "", address)

    def of_admin(self, name: str, address: str) -> Owner:
        # No tenant has this name: it begins with a space.
        return self._owner(f" {name}", address)

    def of_service(self, token: str, address: str) -> Owner:
        # As for an admin: ids of tokens are no names of admins.
        return self._owner(f" {token}", address)

    def _owner(self, user: str, address: str) -> Owner:
        return Owner(user, "" if is_trusted(address, self._backends) else bucket(address))


class Slots:
    """The slots of one kind; `what` names the kind in refusals."""

    def __init__(self, what: str, bounds: Bounds) -> None:
        self._what = what
        self._bounds = bounds
        self._by_user: Counter[str] = Counter()
        self._by_address: Counter[str] = Counter()
        self._freed = trio.Event()

    @property
    def total(self) -> int:
        return self._by_user.total()

    @contextmanager
    def reserve(self, owner: Owner) -> Iterator[None]:
        """Hold a slot. Raises Refused: `rate_limited`, `unavailable`."""
        self._check(owner)
        try:
            with counted(self._by_user, owner.user), counted(self._by_address, owner.address):
                yield
        finally:
            self._freed.set()
            self._freed = trio.Event()

    async def wait(self, owner: Owner, timeout: float) -> None:
        """Wait for a slot, or until the timeout."""
        with trio.move_on_after(timeout):
            while self._lack(owner) is not None:
                await self._freed.wait()

    @asynccontextmanager
    async def turn(self, owner: Owner) -> AsyncIterator[None]:
        """Wait for a slot and hold it. Raises Refused."""
        await self.wait(owner, TURN_TIMEOUT_S)
        with self.reserve(owner):
            yield

    def _check(self, owner: Owner) -> None:
        """Check that a slot is free. Raises Refused.

        Makes no reference cycle, which would keep the response of the caller in memory until it is collected.
        """
        lack = self._lack(owner)
        if lack is not None:
            try:
                raise lack
            finally:
                del lack

    def _lack(self, owner: Owner) -> Refused | None:
        """The refusal if no slot is free."""
        if owner.user and self._by_user[owner.user] >= self._bounds.per_user:
            return Refused(
                "rate_limited",
                f"too many {self._what} of one user at a time: at most {self._bounds.per_user}",
                retry_after=RETRY_S,
            )
        if owner.address and self._by_address[owner.address] >= self._bounds.per_address:
            message = f"too many {self._what} from one address at a time: at most {self._bounds.per_address}"
            return Refused("rate_limited", message, retry_after=RETRY_S)
        if self.total >= self._bounds.total:
            return Refused("unavailable", f"too many {self._what} at a time", retry_after=RETRY_S)
        return None


@contextmanager
def counted(counter: Counter[str], key: str) -> Iterator[None]:
    """Count one more under this key while the block runs."""
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]
