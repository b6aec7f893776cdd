"""What sessions of bots receive. A subsystem adds the filter to `Node.services`, under `EventFilter`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from chatd.wire.codec import Codec

# See `Session.send_nowait`.
Send = Callable[..., Any]


class FilteredSession(Protocol):
    """A session whose `send_nowait` can be replaced."""

    id: str
    tenant: str
    user: str
    codec: Codec
    send_nowait: Send

    def request_close(self, close: str, reason: str = "") -> None: ...


class EventFilter(ABC):
    """Decides what a session receives. Without one, a bot cannot connect."""

    @abstractmethod
    def attach(self, session: FilteredSession) -> None:
        """Filter all that the session receives from now on. Its owner puts `send_nowait` back at the end."""
