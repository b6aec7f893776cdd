"""The bound addresses of this process, for operators. Clients use `gateway.public_url` and `http.public_url`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Addresses:
    """URLs: `socket` of the WebSocket endpoint, `http` of the REST API."""

    socket: str
    http: str
