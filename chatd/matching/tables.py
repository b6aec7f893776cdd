"""What matching stores in Postgres and in Redis, and what that contains about users."""

from chatd.app.storage import RedisKey, Table, UserData, Within

TABLES = (
    Table(
        "matches",
        (Within("conversations"),),
        UserData(
            what="`queue`, `reason`: why it ended; its users are in `match_members`", kept="forever", erased="stays"
        ),
    ),
    Table(
        "match_members",
        (Within("matches"),),
        UserData(
            what="`user_id`; `criteria`: tags, attributes and conditions of the request",
            kept="`criteria` until the match is over, the row forever",
            erased="the match ends, and `criteria` becomes null",
            id_stays=("user_id",),
        ),
        impersonal=("match",),
    ),
)
REDIS_KEYS = (
    RedisKey(
        "match",
        "the event log of the pool (`redis.stream_key`): ids, and tags, attributes and conditions until an erasure",
        "until newer entries displace them",
    ),
)
