"""The server under load: its address, and access tokens for its users."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

# The server does not check that it is random.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SUBPROTOCOL = "chatd.v1.msgpack"


class BadTarget(Exception):
    """The URL cannot be used; the text names the reason."""


@dataclass(frozen=True)
class Target:
    """The server under load. `address` is resolved once. `sign` returns the access token of a user. `pid`: the server,
    if it runs here.
    """

    host: str
    path: str
    family: int
    address: tuple[str, int]
    sign: Callable[[str], str]
    pid: int = 0

    @classmethod
    def parse(cls, url: str, sign: Callable[[str], str], pid: int = 0) -> "Target":
        """Parse and resolve a URL. Raises BadTarget, OSError if the name does not resolve."""
        parts = urlsplit(url)
        if parts.scheme != "ws" or not parts.hostname:
            raise BadTarget(f"{url} is not a URL such as ws://127.0.0.1:8080/v1/ws; TLS is not supported")
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        return cls(parts.netloc, parts.path or "/", family, (str(address[0]), int(address[1])), sign, pid)

    def handshake(self, user: str) -> bytes:
        """The request that opens a connection of this user."""
        head = (
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {KEY}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
            f"Authorization: Bearer {self.sign(user)}",
        )
        return "\r\n".join([*head, "", ""]).encode()
