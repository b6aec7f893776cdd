"""OpenAPI of the routes of uploads."""

from typing import Any

from chatd.uploads.events import PATH
from chatd.wire.reference.description import Routes
from chatd.wire.reference.routes import BYTES, SECURITY, UUID, errors

UPLOAD: dict[str, Any] = {
    "operationId": "upload.create",
    "tags": ["upload"],
    "summary": "Store a file.",
    "description": "One file, in the field `file` or `image`. Its type is found by its content; images are encoded anew.",
    "parameters": [],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": BYTES, "image": BYTES},
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": False,
                }
            }
        },
    },
    "responses": {
        "200": {
            "description": "A file that was stored.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Upload"}}},
        },
        **errors(_408="timeout", _413="too_large"),
    },
    "security": SECURITY,
}
DOWNLOAD: dict[str, Any] = {
    "operationId": "upload.get",
    "tags": ["upload"],
    "summary": "The bytes of a file.",
    "description": "For its owner, and for members of a conversation in which it is used. Takes one Range, and If-None-Match.",
    "parameters": [
        {"name": "upload", "in": "path", "required": True, "schema": UUID},
        {"name": "Range", "in": "header", "required": False, "schema": {"type": "string"}},
        {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}},
    ],
    "responses": {
        "200": {"description": "All of it.", "content": {"*/*": {"schema": BYTES}}},
        "206": {"description": "The part that Range names.", "content": {"*/*": {"schema": BYTES}}},
        "304": {"description": "What you have is right."},
        **errors(_404="not_found", _416="bad_request"),
    },
    "security": SECURITY,
}
ROUTES: Routes = {PATH: {"post": UPLOAD}, f"{PATH}/{{upload}}": {"get": DOWNLOAD}}
