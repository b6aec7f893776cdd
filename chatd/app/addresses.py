"""The URLs under which clients reach this process."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Addresses:
    """URLs: `socket` of the WebSocket endpoint, `http` of the REST API."""

    socket: str
    http: str
