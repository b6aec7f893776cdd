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

POSITION: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}


def tus(operation: str, summary: str, description: str, responses: dict[str, Any], *headers: str) -> dict[str, Any]:
    """An operation of tus; `headers` are those that it needs, besides the version."""
    parameters = [{"name": "upload", "in": "path", "required": True, "schema": UUID}] * (operation != "create")
    needed = [
        {"name": "Tus-Resumable", "in": "header", "required": True, "schema": {"enum": ["1.0.0"]}},
        *({"name": name, "in": "header", "required": True, "schema": POSITION} for name in headers),
    ]
    return {
        "operationId": f"upload.tus.{operation}",
        "tags": ["upload"],
        "summary": summary,
        "description": f"{description} See docs/uploads.md and https://tus.io/protocols/resumable-upload.",
        "parameters": [*parameters, *needed],
        "responses": {**responses, **errors(_412="bad_request")},
        "security": SECURITY,
    }


BODY: dict[str, Any] = {"required": True, "content": {"application/offset+octet-stream": {"schema": BYTES}}}
BEGIN = tus(
    "create",
    "Begin an upload in parts (tus 1.0.0).",
    "`Location` of the answer is where the parts go; its last segment becomes the id of the upload.",
    {"201": {"description": "The upload has begun."}, **errors(_408="timeout", _413="too_large")},
    "Upload-Length",
)
APPEND = {
    **tus(
        "append",
        "Continue an upload in parts (tus 1.0.0).",
        "`conflict`: the upload continues at another offset, or has ended. The upload exists when the last part is "
        "answered.",
        {
            "204": {"description": "The part is stored; `Upload-Offset` is the next position."},
            **errors(_404="not_found", _408="timeout", _409="conflict", _413="too_large", _415="bad_request"),
            "460": {"description": "The checksum is that of another body."},
        },
        "Upload-Offset",
    ),
    "requestBody": BODY,
}
TERMINATE = tus(
    "delete",
    "Give an upload in parts up (tus 1.0.0).",
    "`conflict`: the upload is complete.",
    {"204": {"description": "The parts are deleted."}, **errors(_404="not_found", _409="conflict")},
)
ROUTES: Routes = {
    PATH: {"post": UPLOAD},
    f"{PATH}/{{upload}}": {"get": DOWNLOAD},
    f"{PATH}/{{upload}}/thumbnail": {"get": THUMBNAIL},
    f"{PATH}/tus": {"post": BEGIN},
    f"{PATH}/tus/{{upload}}": {"patch": APPEND, "delete": TERMINATE},
    f"{PATH}/{{upload}}/signed": {"get": SIGNED},
    f"{PATH}/{{upload}}/thumbnail/signed": {"get": {**SIGNED, "operationId": "upload.thumbnail.signed"}},
}
