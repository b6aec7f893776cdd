"""The files that are generated from the declarations. A test fails when they are stale."""

import json
from collections.abc import Iterable

from chatd.wire.reference.json_schema import Declared, Events
from chatd.wire.reference.markdown import reference
from chatd.wire.reference.openapi import openapi
from chatd.wire.reference.typescript import typescript


def generated(rows: Iterable[Declared], events: Events, version: str) -> dict[str, str]:
    """Text by file name."""
    rows = list(rows)
    return {
        "protocol.md": reference(rows, events),
        "openapi.json": json.dumps(openapi(rows, version), indent=1) + "\n",
        "chatd.d.ts": typescript(rows, events),
    }
