"""The keys of the list of nodes, and of queries to them, in Redis."""

from chatd.app.storage import RedisKey

REDIS_KEYS = (
    RedisKey("nodes", "names of nodes", "five seconds"),
    RedisKey("node:*", "state and figures of each node", "five seconds"),
    RedisKey(
        "answers:*",
        "answers of nodes to the command line; for `chatd sessions` ids of users, and addresses as keyed hashes",
        "until it is read, 30 seconds at most",
    ),
)
