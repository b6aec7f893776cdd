"""External ids of conversations and messages: how a backend names them by ids of its own.

As for users (`accounts/external_ids.py`), the id is a UUIDv5 of the external id, so it is known without a look-up.
"""

from typing import Annotated
from uuid import uuid5

from msgspec import Meta

from chatd.accounts.external_ids import tenant_namespace
from chatd.wire.texts import PRIVATE

ExternalId = Annotated[
    str,
    Meta(min_length=1, max_length=255, extra=PRIVATE, description="The id in your own system, at most 255 bytes"),
]


def conversation_id_of(tenant: str, external_id: str) -> str:
    """The id of a new conversation with this external id."""
    return str(uuid5(uuid5(tenant_namespace(tenant), "conversations"), external_id))
