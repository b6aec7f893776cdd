"""Signals of accounts to other subsystems. See `core/signals`."""

from msgspec import Struct


class ProfileChanged(Struct, frozen=True):
    """The profile of a user has changed, and others see the change. It is committed.

    `by_user`: the user has changed it, and their other devices have the event. Otherwise they have to get it.
    """

    tenant: str
    user: str
    by_user: bool = False
