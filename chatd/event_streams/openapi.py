"""OpenAPI of /v1/events."""

from typing import Any

from chatd.wire.reference.description import Routes
from chatd.wire.reference.routes import TEXT, errors

AFTER = {"type": "string", "pattern": r"^[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{22}\.(0|[1-9][0-9]{0,15})$"}
EVENTS: dict[str, Any] = {
    "operationId": "events",
    "tags": ["events"],
    "summary": "Receive events, as Server-Sent Events or with `wait` as a long poll.",
    "description": "See [Without WebSocket](#without-websocket).",
    "parameters": [
        {"name": "wait", "in": "query", "required": False, "schema": {"type": "number", "minimum": 0}},
        {"name": "after", "in": "query", "required": False, "schema": AFTER},
        {"name": "ticket", "in": "query", "required": False, "schema": TEXT},
        {"name": "token", "in": "query", "required": False, "schema": TEXT},
        {"name": "Last-Event-ID", "in": "header", "required": False, "schema": AFTER},
    ],
    "responses": {
        "200": {
            "description": "The frames `[0, event]`, each in one event; with `wait` an array of them, and the position "
            "in the header `Chatd-Position`",
            "headers": {"Chatd-Position": {"schema": AFTER}},
            "content": {
                "text/event-stream": {"schema": {"type": "object", "properties": {"id": AFTER, "data": TEXT}}},
                "application/json": {"schema": {"type": "array", "items": {"type": "array"}}},
            },
        },
        **errors(),
    },
    "security": [{"bearer": []}, {}],
}
ROUTES: Routes = {"/v1/events": {"get": EVENTS}}
