"""What an operator can do when Redis fails, by the cause."""

import errno

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)

# The first one counts.
FIXES: tuple[tuple[type[BaseException], str], ...] = (
    (AuthenticationError, "user or password is wrong: correct them in redis.url, or redis.username and redis.password"),
    (AuthorizationError, "the user of redis.url may not do that: give it all commands on the keys with redis.prefix"),
    (NoPermissionError, "the user of redis.url may not do that: give it all commands on the keys with redis.prefix"),
    (BusyLoadingError, "Redis reads its files: wait"),
    (ReadOnlyError, "this is a replica: give redis.url the primary"),
    (OutOfMemoryError, "raise maxmemory, or give chatd a Redis of its own"),
    (MaxConnectionsError, "raise maxclients of Redis"),
)
BY_TEXT = (
    ("MISCONF", "Redis cannot save: look at its log and the space on its disk"),
    ("NOAUTH", "Redis wants a password: set it in redis.url, or redis.password"),
    (f"Error {errno.ECONNREFUSED} ", "nothing listens there: start Redis, or correct host and port of redis.url"),
    (f"Error {errno.ENOENT} ", "there is no such socket: start Redis, or correct redis.url"),
    (f"Error {errno.EACCES} ", "the account of chatd may not use this socket: correct redis.url, or its permissions"),
    # What getaddrinfo(3) fails with is below 0.
    ("Error -", "the host of redis.url has no address: correct it, or look at the DNS of this machine"),
    ("invalid DB index", "Redis has no database of this number: correct the end of redis.url"),
    ("DB index is out of range", "Redis has no database of this number: correct the end of redis.url"),
    ("SSL", "the encryption does not work: rediss:// is for TLS, redis:// without; look at the certificate"),
    ("Protocol Error", "it is no Redis that answers there: correct host and port of redis.url"),
)


def fix_of(error: BaseException | None) -> str:
    """What an operator can do about a failure."""
    for cause, fix in FIXES:
        if isinstance(error, cause):
            return fix
    usual = "is it running, and is redis.url right? Does a firewall let it pass?"
    return next((fix for text, fix in BY_TEXT if text in str(error)), usual)
