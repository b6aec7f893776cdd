"""OpenAPI of the routes of privacy, and conditions that field types cannot declare."""

from typing import Any

from chatd.privacy.admin_commands import EraseUser
from chatd.privacy.commands import EraseMe
from chatd.wire.reference.description import Condition, Routes
from chatd.wire.reference.routes import SECURITY, errors

EXPORT: dict[str, Any] = {
    "operationId": "me.export",
    "tags": ["me"],
    "summary": "Export your data as JSON lines.",
    "description": "Limited to a few exports per hour, one at a time. See docs/privacy.md.",
    "parameters": [],
    "responses": {
        "200": {
            "description": "One object per line; the last one has the type `end`",
            "content": {"application/x-ndjson": {}},
        },
        **errors(_404="not_found"),
    },
    "security": SECURITY,
}
ROUTES: Routes = {"/v1/me/export": {"get": EXPORT}}
CONDITIONS = tuple(Condition(kind, fields={"confirm": {"enum": [True]}}) for kind in (EraseMe, EraseUser))
