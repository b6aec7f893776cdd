"""OpenAPI of the routes of uploads."""

from typing import Any

from chatd.uploads.events import PATH
from chatd.wire.reference.description import Routes
from chatd.wire.reference.routes import BYTES, SECURITY, UUID, errors

UPLOAD: dict[str, Any] = {
    "operationId": "upload.create",
    "tags": ["upload"],
    "summary": "Store a file.",
    "description": "One file in the field `file` or `image`. Its type is detected from its content; images "
    "are re-encoded.",
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
            "description": "The stored file.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Upload"}}},
        },
        **errors(_408="timeout", _413="too_large"),
    },
    "security": SECURITY,
}
DOWNLOAD: dict[str, Any] = {
    "operationId": "upload.get",
    "tags": ["upload"],
    "summary": "Download a file.",
    "description": "For its owner, and for members of conversations that use it. Supports a single Range, and "
    "If-None-Match.",
    "parameters": [
        {"name": "upload", "in": "path", "required": True, "schema": UUID},
        {"name": "Range", "in": "header", "required": False, "schema": {"type": "string"}},
        {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}},
    ],
    "responses": {
        "200": {"description": "The whole file.", "content": {"*/*": {"schema": BYTES}}},
        "206": {"description": "The requested range.", "content": {"*/*": {"schema": BYTES}}},
        "304": {"description": "Your copy is current."},
        **errors(_404="not_found", _416="bad_request"),
    },
    "security": SECURITY,
}
THUMBNAIL: dict[str, Any] = {
    **DOWNLOAD,
    "operationId": "upload.thumbnail",
    "summary": "Download the thumbnail of an image.",
    "description": "A WebP of at most 400 pixels in each direction, for those who can download the file. `not_found` "
    "also if there is none.",
}
SIGNED: dict[str, Any] = {
    **DOWNLOAD,
    "operationId": "upload.signed",
    "summary": "Download a file by a signed URL.",
    "description": "The URL comes from `upload.sign`, and needs no token. `forbidden`: the signature does not "
    "match, or the URL has expired.",
    "parameters": [
        *DOWNLOAD["parameters"],
        *(
            {"name": name, "in": "query", "required": True, "schema": {"type": "string"}}
            for name in ("tenant", "expires", "signature")
        ),
    ],
    "responses": {**DOWNLOAD["responses"], **errors(_403="forbidden")},
    "security": [],
}
ROUTES: Routes = {
    PATH: {"post": UPLOAD},
    f"{PATH}/{{upload}}": {"get": DOWNLOAD},
    f"{PATH}/{{upload}}/thumbnail": {"get": THUMBNAIL},
    f"{PATH}/{{upload}}/signed": {"get": SIGNED},
    f"{PATH}/{{upload}}/thumbnail/signed": {"get": {**SIGNED, "operationId": "upload.thumbnail.signed"}},
}
