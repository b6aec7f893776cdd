"""Rate limits of this node: of a user, over all connections and REST together, and of an address without a user."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from chatd.core.addresses import bucket as bucket_of
from chatd.core.config import Limits
from chatd.core.errors import Refused
from chatd.core.rate_limit import TokenBucket

MAX_USERS = 100_000
MAX_ADDRESSES = 10_000
# A user who holds two connections all the time uses up their tokens (100 a second).
TOKENS_PER_DATABASE_S = 50.0
Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """A value for each key, made on first use. Bounded: the least recently used values are dropped."""

    def __init__(self, make: Callable[[], Value], max_keys: int) -> None:
        self._make = make
        self._max_keys = max_keys
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value, if there is one."""
        return self._values.get(key)

    def discard(self, key: Key) -> None:
        """Drop the value, if there is one."""
        self._values.pop(key, None)

    def of(self, key: Key) -> Value:
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = self._make()
            if len(self._values) > self._max_keys:
                self._values.popitem(last=False)
        else:
            self._values.move_to_end(key)
        return value


class Buckets(Recent[Key, TokenBucket]):
    """A token bucket for each key."""

    def __init__(self, rate: float, burst: float, max_keys: int) -> None:
        super().__init__(lambda: TokenBucket(rate, burst), max_keys)


class UserLimits:
    """A token bucket per (tenant, user)."""

    def __init__(self, rate: float, burst: float) -> None:
        self._buckets = Buckets[tuple[str, str]](rate, burst, MAX_USERS)

    @classmethod
    def of_commands(cls, limits: Limits) -> "UserLimits":
        """The limits on commands, as configured."""
        return cls(limits.user_commands_per_second, limits.user_commands_burst)

    def charge(self, tenant: str, user: str, cost: float) -> None:
        """Charge a user. Raises Refused: `rate_limited` with `retry_after`."""
        check(self._buckets.of((tenant, user)), cost, trio.current_time())

    def charge_database_time(self, tenant: str, user: str, database_s: float) -> None:
        """Charge the time for which a command has held connections of the database."""
        self._buckets.of((tenant, user)).charge(trio.current_time(), database_s * TOKENS_PER_DATABASE_S)


class ServiceLimits(UserLimits):
    """A token bucket per (tenant, service token)."""

    @classmethod
    def of_commands(cls, limits: Limits) -> "ServiceLimits":
        """The limits on server commands, as configured."""
        return cls(limits.service_commands_per_second, limits.service_commands_burst)


class AddressLimits:
    """A token bucket per address, for failed attempts and for requests without an identity."""

    def __init__(self, per_minute: float) -> None:
        self._buckets = Buckets[str](per_minute / 60, max(1.0, per_minute), MAX_ADDRESSES)

    def check(self, address: str, cost: float = 1) -> None:
        """Charge an address. Raises Refused: `rate_limited`. With `cost` 0 it only checks whether another attempt would
        be accepted.
        """
        bucket, now = self._buckets.of(bucket_of(address)), trio.current_time()
        wait = bucket.take(now, cost) if cost else bucket.lacks(now)
        if wait > 0:
            raise Refused("rate_limited", "too many attempts from your address", retry_after=wait)


def check(bucket: TokenBucket, cost: float, now: float) -> None:
    """Take tokens from a bucket. Raises Refused: `rate_limited` with `retry_after` in seconds."""
    wait = bucket.take(now, cost)
    if wait > 0:
        raise Refused("rate_limited", retry_after=wait)
