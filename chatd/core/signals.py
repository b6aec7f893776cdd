"""Signals between subsystems: values, delivered in process to the functions that subscribed to their class.

A subscriber is called in the order of subscription. An error of a subscriber is the error of `send`: a signal is part
of the act that sends it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

S = TypeVar("S")


class Signals:
    """Subscribers by the class of the signal."""

    def __init__(self) -> None:
        self._subscribers: dict[type[Any], list[Callable[[Any], Awaitable[None]]]] = {}
        self._sync_subscribers: dict[type[Any], list[Callable[[Any], None]]] = {}

    def on(self, kind: type[S], call: Callable[[S], Awaitable[None]]) -> None:
        """Call and await the subscriber for each signal of this class."""
        self._subscribers.setdefault(kind, []).append(call)

    def on_sync(self, kind: type[S], call: Callable[[S], None]) -> None:
        """Call the subscriber for each signal of this class, before those that are awaited."""
        self._sync_subscribers.setdefault(kind, []).append(call)

    def has_subscribers(self, kind: type[Any]) -> bool:
        """Whether the class has subscribers; without any, the signal need not be made."""
        return kind in self._subscribers or kind in self._sync_subscribers

    async def send(self, signal: object) -> None:
        """Call all subscribers."""
        for call in self._sync_subscribers.get(type(signal), ()):
            call(signal)
        for subscriber in self._subscribers.get(type(signal), ()):
            await subscriber(signal)

    def send_sync(self, signal: object) -> None:
        """Call the subscribers of a signal that is sent where nothing can be awaited.

        Raises TypeError if a subscriber must be awaited.
        """
        if type(signal) in self._subscribers:
            raise TypeError(f"{type(signal).__name__} is sent where no subscriber can be awaited")
        for call in self._sync_subscribers.get(type(signal), ()):
            call(signal)
