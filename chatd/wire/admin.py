"""The base of admin commands."""

from typing import Annotated

from msgspec import Meta

from chatd.core.ids import PYTHON_END
from chatd.wire.base import Command

TenantName = Annotated[
    str, Meta(pattern=f"^[a-z0-9][a-z0-9_-]{{0,62}}{PYTHON_END}", description="1 to 63 of a-z, 0-9, `_`, `-`")
]
Why = Annotated[str, Meta(min_length=1, max_length=500)]
# At most ten years; a longer ban is permanent.
Lasts = Annotated[int, Meta(ge=1, le=315_360_000, description="Seconds")]


class AdminCommand(Command, kw_only=True):
    """A command of an admin for one tenant."""

    tenant: TenantName = "default"
