"""What an operator can do about failures of Redis, by cause."""

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

# The first match applies.
FIXES: tuple[tuple[type[BaseException], str], ...] = (
    (AuthenticationError, "the user or the password is wrong: correct redis.url, or redis.username and redis.password"),
    (AuthorizationError, "the user of redis.url lacks a permission: allow it all commands on keys with redis.prefix"),
    (NoPermissionError, "the user of redis.url lacks a permission: allow it all commands on keys with redis.prefix"),
    (BusyLoadingError, "Redis is loading its files: wait"),
    (ReadOnlyError, "this is a replica: set redis.url to the primary"),
    (OutOfMemoryError, "raise maxmemory, or use a separate Redis for chatd"),
    (MaxConnectionsError, "raise maxclients of Redis"),
)
BY_TEXT = (
    ("MISCONF", "Redis cannot save: check its log and its disk space"),
    ("NOAUTH", "Redis requires a password: set it in redis.url, or redis.password"),
    (f"Error {errno.ECONNREFUSED} ", "nothing listens there: start Redis, or correct the host and port of redis.url"),
    (f"Error {errno.ENOENT} ", "the socket does not exist: start Redis, or correct redis.url"),
    (f"Error {errno.EACCES} ", "the account of chatd may not use this socket: correct redis.url, or its permissions"),
    # Errors of getaddrinfo(3) are negative.
    ("Error -", "the host of redis.url has no address: correct it, or check the DNS of this machine"),
    ("invalid DB index", "Redis has no database with this number: correct the end of redis.url"),
    ("DB index is out of range", "Redis has no database with this number: correct the end of redis.url"),
    ("SSL", "TLS fails: rediss:// uses TLS, redis:// does not; check the certificate"),
    ("Protocol Error", "another service than Redis answers there: correct the host and port of redis.url"),
)


def fix_of(error: BaseException | None) -> str:
    """What an operator can do about a failure."""
    for cause, fix in FIXES:
        if isinstance(error, cause):
            return fix
    usual = "check that Redis runs, and check redis.url and firewalls"
    return next((fix for text, fix in BY_TEXT if text in str(error)), usual)
