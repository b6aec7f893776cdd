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
from chatd.db.redis import Redis

User = tuple[str, str]
AT_ONCE = 500
# Milliseconds that whoever buries a node has for it, before another one tries.
BURIAL_MS = 15_000
# Seconds after which Redis itself forgets a node that nobody has buried, because there was no other.
FORGOTTEN = 86_400
MARK = b""
RANKS = {b"1": 1, b"2": 2}
FIELD = re.compile(f"{UUID}/.+", re.DOTALL)
# KEYS: the nodes, our hash; ARGV: our name, milliseconds of a lease, of a burial (0: none), seconds.
# All names, and one whose lease is over, with when it ended, and until when it is ours to bury; nothing when we are not on the
# board, or not whole.
BEAT = """
if not redis.call('zscore', KEYS[1], ARGV[1]) or redis.call('exists', KEYS[2]) == 0 then return {} end
local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('zadd', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('expire', KEYS[2], ARGV[4])
local dead = {}
if ARGV[3] ~= '0' then dead = redis.call('zrangebyscore', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1) end
if dead[1] then redis.call('zadd', KEYS[1], now + ARGV[3], dead[1]) end
return {redis.call('zrange', KEYS[1], 0, -1), dead[1] or '', dead[2] or '0', redis.call('zscore', KEYS[1], dead[1] or '') or '0'}
"""
# KEYS: the nodes, our hash, the one it was written to; ARGV: name, milliseconds, seconds.
APPEAR = """
local time = redis.call('time')
redis.call('rename', KEYS[3], KEYS[2])
redis.call('expire', KEYS[2], ARGV[3])
redis.call('zadd', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
"""
# KEYS: a hash; ARGV: fields and ranks.
WRITE = """
for at = 1, #ARGV, 2 do
    if ARGV[at + 1] == '0' then redis.call('hdel', KEYS[1], ARGV[at]) else redis.call('hset', KEYS[1], ARGV[at], ARGV[at + 1]) end
end
"""
# KEYS: the nodes; ARGV: what the keys of their hashes begin with, fields.
LOOK = """
local found = {}
for _, name in ipairs(redis.call('zrange', KEYS[1], 0, -1)) do
    found[#found + 1] = {name, redis.call('hmget', ARGV[1] .. name, unpack(ARGV, 2))}
end
return found
"""
# KEYS: the nodes, the hash; ARGV: the name, until when it is ours.
BURY = """
if redis.call('zscore', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('del', KEYS[2])
return redis.call('zrem', KEYS[1], ARGV[1])
"""


class Dead(Struct):
    """A node whose lease is over: when it was last heard of (milliseconds), and the claim to bury it."""

    node: str
    since: int
    claim: bytes


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
        answer = await self._redis.call(
            "EVAL", BEAT, 2, self._nodes, self._mine, self._name, self._lease, BURIAL_MS if bury else 0, FORGOTTEN
        )
        if not answer:
            return None
        names, dead, until, claim = answer
        found = Dead(dead.decode(errors="replace"), int(float(until)) - self._lease, claim) if dead else None
        return Word({name.decode(errors="replace") for name in names}, found)

    async def appear(self, ranks: Iterable[tuple[User, int]]) -> None:
        """Write everything anew; until it is done the others see what was there before."""
        draft = f"{self._mine}:new"
        await self._redis.call("DEL", draft)
        await self._redis.call("HSET", draft, MARK, 1)
        await self._write(draft, list(ranks))
        await self._redis.call("EVAL", APPEAR, 3, self._nodes, self._mine, draft, self._name, self._lease, FORGOTTEN)

    async def write(self, ranks: Sequence[tuple[User, int]]) -> None:
        """What has changed; rank 0 is nobody."""
        await self._write(self._mine, ranks)

    async def _write(self, key: str, ranks: Sequence[tuple[User, int]]) -> None:
        for at in range(0, len(ranks), AT_ONCE):
            fields = [text for user, rank in ranks[at : at + AT_ONCE] for text in (field_of(user), rank)]
            await self._redis.call("EVAL", WRITE, 1, key, *fields)

    async def look(self, users: Sequence[User]) -> dict[str, dict[User, int]]:
        """What each node, this one too, says of these users."""
        found: dict[str, dict[User, int]] = {}
        for at in range(0, len(users), AT_ONCE):
            part = users[at : at + AT_ONCE]
            answer = await self._redis.call("EVAL", LOOK, 1, self._nodes, f"{self._nodes}:", *map(field_of, part))
            for name, ranks in answer:
                said = found.setdefault(name.decode(errors="replace"), {})
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
        keys = (self._nodes, self._redis.key("presence", dead.node))
        return bool(await self._redis.call("EVAL", BURY, 2, *keys, dead.node, dead.claim))


def field_of(user: User) -> str:
    tenant, id_ = user
    return f"{id_}/{tenant}"


def user_of(field: str) -> User:
    id_, _, tenant = field.partition("/")
    return tenant, id_


def names_of(flat: Any) -> Iterable[bytes]:
    """The fields in the answer of HSCAN, in the forms of RESP2 and of redis-py."""
    return list(flat) if isinstance(flat, dict) else flat[::2]
