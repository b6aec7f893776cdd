"""OpenAPI of the routes of the server API that are no commands, and conditions of its commands."""

from typing import Any

from chatd.core.text_forms import VISIBLE_PATTERN
from chatd.server_api.messages import ServerEditMessage
from chatd.wire.reference.conditions import given
from chatd.wire.reference.description import Condition, Routes
from chatd.wire.reference.routes import UUID, errors

EXPORT: dict[str, Any] = {
    "operationId": "server.user.export",
    "tags": ["server API"],
    "summary": "Export everything that is stored about a user as JSON lines.",
    "description": "Scope: `read`. One at a time for each token. The audit log records it. See docs/privacy.md.",
    "parameters": [{"name": "user", "in": "path", "required": True, "schema": UUID}],
    "responses": {
        "200": {
            "description": "One object per line; the last one has the type `end`",
            "content": {"application/x-ndjson": {}},
        },
        **errors(_403="forbidden", _404="not_found"),
    },
    "security": [{"service": ["read"]}],
}
ROUTES: Routes = {"/v1/server/users/{user}/export": {"get": EXPORT}}
CONDITIONS = (
    Condition(
        ServerEditMessage,
        {"anyOf": [given("text"), given("actions")]},
        fields={"text": {"pattern": VISIBLE_PATTERN}},
    ),
)
