"""The board in Redis: which users are connected to which node, as each node writes it, under a lease.

Keys: `<prefix>:presence`, the nodes by the time (of Redis, in milliseconds) until which their lease lasts; and
`<prefix>:presence:<node>`, a hash from `user/tenant` to a rank, with an empty field so that it is never missing. A node that dies
writes nothing more; when its lease has run out another one buries it: reads who was there, and takes it off the board.
"""

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from msgspec import Struct

from chatd.core.ids import UUID
from chatd.db.redis import Command, Redis

User = tuple[str, str]
AT_ONCE = 500
# Milliseconds that whoever buries a node has for it, before another one tries.
BURIAL_MS = 15_000
# Seconds after which Redis itself forgets a node that nobody has buried, because there was no other.
FORGOTTEN = 86_400
MARK = b""
RANKS = {b"1": 1, b"2": 2}
FIELD = re.compile(f"{UUID}/.+", re.DOTALL)


class Dead(Struct):
    """A node whose lease is over: when it was last heard of (milliseconds), and the claim to bury it."""

    node: str
    since: int
    claim: int


class Word(Struct):
    """What the board says to a node that shows itself: who is on it, and one to be buried."""

    nodes: set[str]
    dead: Dead | None


class Board:
    """`name` is this node's; `lease` in seconds. Everything here raises Refused: `unavailable`."""

    def __init__(self, redis: Redis, name: str, lease: float) -> None:
        self._redis = redis
        self._name = name
        self._lease = int(lease * 1000)
        self._nodes = redis.key("presence")
        self._mine = redis.key("presence", name)

    async def beat(self, *, bury: bool = True) -> Word | None:
        """Renew the lease. None: we are not on the board, and have to `appear`. `bury`: ready to do it."""
        now = await self._redis.now_ms()
        score, exists, _, names, expired = await self._redis.transaction(
            ("ZSCORE", self._nodes, self._name),
            ("EXPIRE", self._mine, FORGOTTEN),
            ("ZADD", self._nodes, "XX", now + self._lease, self._name),
            ("ZRANGE", self._nodes, 0, -1),
            ("ZRANGEBYSCORE", self._nodes, "-inf", now, "WITHSCORES", "LIMIT", 0, 1),
        )
        if score is None or not exists:
            return None
        dead = await self._claim(expired[0], int(float(expired[1])), now) if bury and expired else None
        return Word({name.decode(errors="replace") for name in names}, dead)

    async def _claim(self, node: bytes, ended: int, now: int) -> Dead | None:
        """Reserve the removal of an expired node, unless it has come back, or another node was first."""
        claim = now + BURIAL_MS
        found = Dead(node.decode(errors="replace"), ended - self._lease, claim)

        def decide(score: float | None) -> tuple[Dead | None, list[Command]]:
            return (found, [("ZADD", self._nodes, "XX", claim, node)]) if score == ended else (None, [])

        return await self._redis.update([self._nodes], [("ZSCORE", self._nodes, node)], decide)

    async def appear(self, ranks: Iterable[tuple[User, int]]) -> None:
        """Write everything anew; until it is done the others see what was there before."""
        draft = f"{self._mine}:new"
        await self._redis.transaction(("DEL", draft), ("HSET", draft, MARK, 1))
        await self._write(draft, list(ranks))
        now = await self._redis.now_ms()
        await self._redis.transaction(
            ("RENAME", draft, self._mine),
            ("EXPIRE", self._mine, FORGOTTEN),
            ("ZADD", self._nodes, now + self._lease, self._name),
        )

    async def write(self, ranks: Sequence[tuple[User, int]]) -> None:
        """What has changed; rank 0 is nobody."""
        await self._write(self._mine, ranks)

    async def _write(self, key: str, ranks: Sequence[tuple[User, int]]) -> None:
        for at in range(0, len(ranks), AT_ONCE):
            part = dict(ranks[at : at + AT_ONCE])
            kept = [text for user, rank in part.items() if rank for text in (field_of(user), rank)]
            removed = [field_of(user) for user, rank in part.items() if not rank]
            commands: list[Command] = [("HSET", key, *kept)] if kept else []
            await self._redis.transaction(*commands, *([("HDEL", key, *removed)] if removed else []))

    async def look(self, users: Sequence[User]) -> dict[str, dict[User, int]]:
        """What each node, this one too, says of these users."""
        names = [name.decode(errors="replace") for name in await self._redis.call("ZRANGE", self._nodes, 0, -1)]
        keys = [self._redis.key("presence", name) for name in names]
        found: dict[str, dict[User, int]] = {}
        for at in range(0, len(users) if names else 0, AT_ONCE):
            part = users[at : at + AT_ONCE]
            answers = await self._redis.transaction(*(("HMGET", key, *map(field_of, part)) for key in keys))
            for name, ranks in zip(names, answers, strict=True):
                said = found.setdefault(name, {})
                said |= {user: RANKS.get(rank, 0) for user, rank in zip(part, ranks, strict=True)}
        return found

    async def users_of(self, node: str) -> AsyncIterator[list[User]]:
        """Who is on the board under this node, page by page; somebody may come twice."""
        cursor: Any = 0
        while True:
            cursor, flat = await self._redis.call("HSCAN", self._redis.key("presence", node), cursor, "COUNT", AT_ONCE)
            fields = [field.decode(errors="replace") for field in names_of(flat)]
            yield [user_of(field) for field in fields if FIELD.fullmatch(field)]
            if not int(cursor):
                return

    async def bury(self, dead: Dead) -> bool:
        """Take it off the board, unless it has come to life again, or somebody else was given it meanwhile."""
        key = self._redis.key("presence", dead.node)

        def decide(score: float | None) -> tuple[bool, list[Command]]:
            is_ours = score == dead.claim
            return is_ours, [("DEL", key), ("ZREM", self._nodes, dead.node)] if is_ours else []

        return await self._redis.update([self._nodes], [("ZSCORE", self._nodes, dead.node)], decide)


def field_of(user: User) -> str:
    tenant, id_ = user
    return f"{id_}/{tenant}"


def user_of(field: str) -> User:
    id_, _, tenant = field.partition("/")
    return tenant, id_


def names_of(flat: Any) -> Iterable[bytes]:
    """The fields in the answer of HSCAN, in the forms of RESP2 and of redis-py."""
    return list(flat) if isinstance(flat, dict) else flat[::2]
