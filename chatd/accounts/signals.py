"""Signals of accounts to other subsystems. See `core/signals`."""

from msgspec import Struct


class ProfileChanged(Struct, frozen=True):
    """A sign-in has changed the name, picture, locale or roles of a user, and committed that."""

    tenant: str
    user: str
