"""The keys of presence in Redis."""

from chatd.app.storage import RedisKey

ABOUT = (
    "ids of the users who are connected to a node",
    "while they are, and `presence.grace` after it; a day when all nodes have died",
)
REDIS_KEYS = (RedisKey("presence", *ABOUT), RedisKey("presence:*", *ABOUT))
