"""Rules for the values of settings that types cannot express.

Each rule raises ValueError, with a text that names what is expected. Pure.
"""

import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
PATH = re.compile(r"(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~-]+)+/?|/")
DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_HOST = 253


def text(value: str) -> None:
    """The rule for every text of the configuration."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("not valid UTF-8") from None
    if any(sign < " " or sign == "\x7f" for sign in value):
        raise ValueError("control characters are not allowed")


def host(value: str) -> None:
    """An address or a name to listen on, or to connect to."""
    if is_address(value.partition("%")[0]):
        return
    if len(value) > MAX_HOST or not all(LABEL.fullmatch(label) for label in value.removesuffix(".").split(".")):
        raise ValueError("expected an IP address or a host name")
    if value.replace(".", "").isdigit():
        raise ValueError("not a valid IP address")


def network(value: str) -> None:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is neither an IP address nor a network such as 10.0.0.0/8") from None


def origin(value: str) -> None:
    """An origin in the form of browsers: lower case, no path, no default port."""
    if value == "*":
        return
    scheme, _, rest = value.partition("://")
    if (
        not SCHEME.fullmatch(scheme)
        or not rest
        or set("/?#@").intersection(rest)
        or rest.split() != [rest]
        or value != value.lower()
    ):
        raise ValueError(
            f"{value!r} is not an origin: expected scheme://host[:port] in lower case, without a path, "
            "such as https://chat.example.org"
        )
    checked_url(value)
    if urlsplit(value).port == DEFAULT_PORTS.get(scheme, 0):
        raise ValueError(f"{value!r}: browsers omit the default port; write {value.rpartition(':')[0]}")


def path(value: str) -> None:
    if not PATH.fullmatch(value):
        raise ValueError("expected a path such as /v1/ws")


def web_address(value: str) -> None:
    if not value.startswith(("http://", "https://")):
        raise ValueError("expected a URL such as https://example.org")
    checked_url(value)


def socket_address(value: str) -> None:
    if not value.startswith(("ws://", "wss://")) or set("?#").intersection(value):
        raise ValueError("expected a URL such as wss://chat.example.org/v1/ws")
    checked_url(value)


def base_address(value: str) -> None:
    """A URL to which paths are appended."""
    web_address(value)
    if set("?#").intersection(value):
        raise ValueError("expected a URL without ? and #, such as https://example.org")


def postgres_address(value: str) -> None:
    """The error does not quote the value, which may contain a password."""
    try:
        parts = urlsplit(value)
        readable = parts.scheme in ("postgresql", "postgres") and parts.port != 0 and parts.netloc.count("@") <= 1
    except ValueError:
        # Several hosts: HOST:PORT,HOST:PORT.
        readable = "," in value and value.startswith(("postgresql://", "postgres://"))
    if not readable:
        form = "postgresql://USER:PASSWORD@HOST:PORT/NAME"
        raise ValueError(f"postgres.dsn is not valid. Expected {form}, with / @ : in a password as %2F %40 %3A")


def checked_url(value: str) -> None:
    """Check the host and port of a URL. Raises ValueError."""
    try:
        parts = urlsplit(value)
        name, port = parts.hostname, parts.port
    except ValueError:
        name, port = None, None
    if not name or port == 0 or value.endswith(":"):
        raise ValueError("expected a host, optionally with a port")
    host(name)


def is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True
