"""The generated documents. A test fails if they are stale."""

import json

from chatd.wire.reference.description import Description
from chatd.wire.reference.markdown import reference
from chatd.wire.reference.openapi import openapi
from chatd.wire.reference.typescript import typescript


def generated(described: Description, version: str) -> dict[str, str]:
    """The documents by file name."""
    return {
        "protocol.md": reference(described),
        "openapi.json": json.dumps(openapi(described, version), indent=1) + "\n",
        "chatd.d.ts": typescript(described),
    }
