"""The store of presence in Redis: the users of each node and their levels, as the node writes them under a lease.

Keys: `<prefix>:presence`, a sorted set of the nodes by the end of their lease (milliseconds, by the clock of Redis);
and `<prefix>:presence:<node>`, a hash from `user/tenant` to a level, with an empty field so that it always exists. When
the lease of a node has expired, another node reads its users and removes it.
"""

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from msgspec import Struct

from chatd.core.identity import UserKey
from chatd.core.ids import UUID
from chatd.db.redis import Command, Redis

BATCH_SIZE = 500
# Time that a node has to remove an expired one, before another node may.
REMOVAL_MS = 15_000
# Redis deletes the users of a node that no other node removed, because there was none.
FORGET_AFTER_S = 86_400
MARKER = b""
LEVELS = {b"1": 1, b"2": 2}
FIELD = re.compile(f"{UUID}/.+", re.DOTALL)


class ExpiredNode(Struct):
    """A node whose lease has expired. `since`: its last heartbeat, in milliseconds. `claim`: the right to remove it."""

    node: str
    since: int
    claim: int


class HeartbeatReply(Struct):
    """The registered nodes, and one to remove."""

    nodes: set[str]
    expired: ExpiredNode | None


class PresenceStore:
    """The store, as one node uses it. `name`: of this node. `lease`: seconds.

    All methods raise Refused: `unavailable`.
    """

    def __init__(self, redis: Redis, name: str, lease: float) -> None:
        self._redis = redis
        self._name = name
        self._lease = int(lease * 1000)
        self._nodes = redis.key("presence")
        self._mine = redis.key("presence", name)

    async def heartbeat(self, *, remove_expired: bool = True) -> HeartbeatReply | None:
        """Renew the lease.

        Returns None if this node is not registered. `remove_expired`: whether it can remove another one.
        """
        now = await self._redis.now_ms()
        score, exists, _, names, expired = await self._redis.transaction(
            ("ZSCORE", self._nodes, self._name),
            ("EXPIRE", self._mine, FORGET_AFTER_S),
            ("ZADD", self._nodes, "XX", now + self._lease, self._name),
            ("ZRANGE", self._nodes, 0, -1),
            ("ZRANGEBYSCORE", self._nodes, "-inf", now, "WITHSCORES", "LIMIT", 0, 1),
        )
        if score is None or not exists:
            return None
        expired = await self._claim(expired[0], int(float(expired[1])), now) if remove_expired and expired else None
        return HeartbeatReply({name.decode(errors="replace") for name in names}, expired)

    async def _claim(self, node: bytes, ended: int, now: int) -> ExpiredNode | None:
        """Reserve the removal of an expired node, unless it has come back, or another node was first."""
        claim = now + REMOVAL_MS
        found = ExpiredNode(node.decode(errors="replace"), ended - self._lease, claim)

        def decide(score: float | None) -> tuple[ExpiredNode | None, list[Command]]:
            return (found, [("ZADD", self._nodes, "XX", claim, node)]) if score == ended else (None, [])

        return await self._redis.update([self._nodes], [("ZSCORE", self._nodes, node)], decide)

    async def register(self, levels: Iterable[tuple[UserKey, int]]) -> None:
        """Replace the levels of all users of this node, in one step."""
        draft = f"{self._mine}:new"
        await self._redis.transaction(("DEL", draft), ("HSET", draft, MARKER, 1))
        await self._write(draft, list(levels))
        now = await self._redis.now_ms()
        await self._redis.transaction(
            ("RENAME", draft, self._mine),
            ("EXPIRE", self._mine, FORGET_AFTER_S),
            ("ZADD", self._nodes, now + self._lease, self._name),
        )

    async def write(self, levels: Sequence[tuple[UserKey, int]]) -> None:
        """Write changed levels; 0 removes a user."""
        await self._write(self._mine, levels)

    async def _write(self, key: str, levels: Sequence[tuple[UserKey, int]]) -> None:
        for at in range(0, len(levels), BATCH_SIZE):
            part = dict(levels[at : at + BATCH_SIZE])
            kept = [text for user, level in part.items() if level for text in (field_of(user), level)]
            removed = [field_of(user) for user, level in part.items() if not level]
            commands: list[Command] = [("HSET", key, *kept)] if kept else []
            await self._redis.transaction(*commands, *([("HDEL", key, *removed)] if removed else []))

    async def levels(self, users: Sequence[UserKey]) -> dict[str, dict[UserKey, int]]:
        """The levels of these users by node, this one included."""
        names = [name.decode(errors="replace") for name in await self._redis.call("ZRANGE", self._nodes, 0, -1)]
        keys = [self._redis.key("presence", name) for name in names]
        found: dict[str, dict[UserKey, int]] = {}
        for at in range(0, len(users) if names else 0, BATCH_SIZE):
            part = users[at : at + BATCH_SIZE]
            answers = await self._redis.transaction(*(("HMGET", key, *map(field_of, part)) for key in keys))
            for name, levels in zip(names, answers, strict=True):
                found.setdefault(name, {}).update(
                    {user: LEVELS.get(level, 0) for user, level in zip(part, levels, strict=True)}
                )
        return found

    async def users_of(self, node: str) -> AsyncIterator[list[UserKey]]:
        """The users of a node, in pages. A user may occur twice."""
        cursor: Any = 0
        while True:
            cursor, flat = await self._redis.call(
                "HSCAN", self._redis.key("presence", node), cursor, "COUNT", BATCH_SIZE
            )
            fields = [field.decode(errors="replace") for field in names_of(flat)]
            yield [user_of(field) for field in fields if FIELD.fullmatch(field)]
            if not int(cursor):
                return

    async def remove_expired(self, expired: ExpiredNode) -> bool:
        """Remove the node, unless it has come back, or another node has claimed it. Returns whether it was removed."""
        key = self._redis.key("presence", expired.node)

        def decide(score: float | None) -> tuple[bool, list[Command]]:
            is_ours = score == expired.claim
            return is_ours, [("DEL", key), ("ZREM", self._nodes, expired.node)] if is_ours else []

        return await self._redis.update([self._nodes], [("ZSCORE", self._nodes, expired.node)], decide)


def field_of(user: UserKey) -> str:
    tenant, id_ = user
    return f"{id_}/{tenant}"


def user_of(field: str) -> UserKey:
    id_, _, tenant = field.partition("/")
    return tenant, id_


def names_of(flat: Any) -> Iterable[bytes]:
    """The fields in the answer of HSCAN, in the forms of RESP2 and of redis-py."""
    return list(flat) if isinstance(flat, dict) else flat[::2]
