"""The tables of the sign-in of admins, and the live figures in Redis."""

from chatd.admin_pages import lockout, sessions, totp
from chatd.app.storage import Deleted, OneFor, RedisKey, Table

TABLES = (
    Table(
        "admin_sessions",
        (Deleted(sessions.SQL, "sweep"), Deleted(sessions.SQL, "limit_sessions")),
        impersonal=("hash", "admin", "token_hash"),
    ),
    Table("admin_sign_in_attempts", (Deleted(lockout.SQL, "sweep"),), impersonal=("key",)),
    Table(
        "admin_totp",
        (OneFor("admin of the configuration"), Deleted(totp.SQL, "remove")),
        impersonal=("admin", "secret"),
    ),
)
REDIS_KEYS = (
    RedisKey("live", "names of nodes with live figures", "15 minutes"),
    RedisKey("live:*", "figures of each node, for the pages for admins", "15 minutes"),
)
