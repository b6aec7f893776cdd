"""OpenAPI of the routes of privacy, and what types of fields cannot say."""

from typing import Any

from chatd.privacy.commands import EraseMe
from chatd.wire.reference.description import Condition, Routes
from chatd.wire.reference.routes import SECURITY, errors

EXPORT: dict[str, Any] = {
    "operationId": "me.export",
    "tags": ["me"],
    "summary": "Everything stored about the user, as JSON lines.",
    "description": "Four times an hour, one at a time. See docs/privacy.md.",
    "parameters": [],
    "responses": {
        "200": {"description": "One object a line; the last one is of the type `end`", "content": {"application/x-ndjson": {}}},
        **errors(_404="not_found"),
    },
    "security": SECURITY,
}
ROUTES: Routes = {"/v1/me/export": {"get": EXPORT}}
CONDITIONS = (Condition(EraseMe, fields={"confirm": {"enum": [True]}}),)
