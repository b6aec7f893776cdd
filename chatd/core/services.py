"""The objects of one node, found by their class.

A module that looks a class up imports it, so the layers contract decides which subsystem may use which.
"""

from typing import Any, TypeVar

T = TypeVar("T")


class NotOpen(LookupError):
    """The subsystem of the service is not open: the node is starting or stopping, or runs without it."""


class ByClass(dict[type[Any], Any]):
    """Objects by their class. Raises NotOpen for a missing one."""

    def __missing__(self, kind: type[Any]) -> Any:
        raise NotOpen(f"no {kind.__name__} is open")


class Services:
    """One object for each class. `by_class` is for access on the hot path."""

    def __init__(self) -> None:
        self.by_class = ByClass()

    def add(self, service: T, kind: type[Any] | None = None) -> T:
        """Make the object available under `kind`, by default its own class, and return it.

        Raises ValueError for a second one.
        """
        kind = kind or type(service)
        if kind in self.by_class:
            raise ValueError(f"there is a {kind.__name__} already")
        self.by_class[kind] = service
        return service

    def get(self, kind: type[T]) -> T:
        """The object of this class. Raises NotOpen when its subsystem is not open."""
        return self.by_class[kind]  # type: ignore[no-any-return]

    def find(self, kind: type[T]) -> T | None:
        """The object of this class, or None when there is none."""
        return self.by_class.get(kind)
