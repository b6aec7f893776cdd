"""Signals of conversations to other subsystems. See `core/signals`."""

from collections.abc import Sequence

from msgspec import Struct


class UserBlocked(Struct, frozen=True):
    """`user` has blocked `blocked`, whom they named `shown_as`: by user id or by an alias. The block is committed."""

    tenant: str
    user: str
    blocked: str
    shown_as: str


class VisibilityChanged(Struct, frozen=True):
    """Who may see the presence of these users may have changed: by a block, or by a setting."""

    tenant: str
    users: Sequence[str]
