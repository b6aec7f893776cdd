"""OpenAPI of the routes of moderation, and conditions that field types cannot declare."""

from typing import Any

from chatd.moderation.commands import CreateReport
from chatd.moderation.routes import PATH
from chatd.wire.reference.conditions import given
from chatd.wire.reference.description import Condition, Routes, Schema
from chatd.wire.reference.routes import BYTES, UUID, errors

REPORT_FILE_FIELDS = {
    "type": "object",
    "properties": {
        "report": UUID,
        "upload": UUID,
        "tenant": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$", "default": "default"},
    },
    "required": ["report", "upload"],
    "additionalProperties": False,
}
FILE_OF_REPORT: dict[str, Any] = {
    "operationId": "admin.report.file",
    "tags": ["admin"],
    "summary": "Download a file of a report.",
    "description": "Its picture, or an attachment of one of its messages. The access is recorded in the audit log.",
    "parameters": [],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": REPORT_FILE_FIELDS}},
    },
    "responses": {
        "200": {"description": "The whole file.", "content": {"*/*": {"schema": BYTES}}},
        "206": {"description": "The requested range.", "content": {"*/*": {"schema": BYTES}}},
        "304": {"description": "Your copy is current."},
        **errors(
            _403="forbidden", _404="not_found", _408="timeout", _413="too_large", _415="bad_request", _416="bad_request"
        ),
    },
    "security": [{"admin": []}],
}
ROUTES: Routes = {PATH: {"post": FILE_OF_REPORT}}
USER_OR_MESSAGE: Schema = {"anyOf": [given("user"), given("conversation", "message")]}
CONDITIONS = (Condition(CreateReport, USER_OR_MESSAGE),)
