"""External ids of conversations and messages: how a backend names them by ids of its own.

As for users (`accounts/external_ids.py`), the id is a UUIDv5 of the external id, so it is known without a look-up.
"""

from typing import Annotated
from uuid import uuid5

from msgspec import Meta

from chatd.accounts.external_ids import MAX_EXTERNAL_ID_BYTES, tenant_namespace
from chatd.core.errors import Refused
from chatd.wire.texts import PRIVATE

ExternalId = Annotated[
    str,
    Meta(min_length=1, max_length=255, extra=PRIVATE, description="The id in your own system, at most 255 bytes"),
]


def check_external_id(external_id: str | None) -> None:
    """Check the length in bytes, which the type cannot declare. Raises Refused: `bad_request`."""
    if external_id is not None and len(external_id.encode()) > MAX_EXTERNAL_ID_BYTES:
        raise Refused("bad_request", f"$.external_id: expected at most {MAX_EXTERNAL_ID_BYTES} bytes in UTF-8")


def conversation_id_of(tenant: str, external_id: str) -> str:
    """The id of a new conversation with this external id."""
    return str(uuid5(uuid5(tenant_namespace(tenant), "conversations"), external_id))
