"""Files over HTTP: what is said of one, and the two requests that are not commands, for the OpenAPI document."""

from typing import Annotated, Any

from msgspec import Meta

from chatd.wire.messages import Id, Millis, Result

PATH = "/v1/uploads"


class Upload(Result, tag="upload"):
    """A file that was stored. `url` gives its bytes to the owner and to members of conversations in which it is used."""

    id: Id
    url: str
    key: str
    mime: Annotated[str, Meta(description="By the content")]
    size: Annotated[int, Meta(description="Bytes, as stored")]
    name: str | None
    width: int | None
    height: int | None
    created_at: Millis


SECURITY: list[dict[str, list[str]]] = [{"bearer": []}]
BYTES = {"type": "string", "format": "binary"}
ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
ALWAYS = {
    "400": "bad_request",
    "401": "unauthenticated",
    "403": "banned",
    "429": "rate_limited",
    "500": "internal",
    "503": "unavailable, maintenance",
    "504": "timeout",
}


def errors(**more: str) -> dict[str, Any]:
    codes = {**ALWAYS, **{status.removeprefix("_"): codes for status, codes in more.items()}}
    return {status: {"description": text, "content": ERROR} for status, text in sorted(codes.items())}


POST: dict[str, Any] = {
    "operationId": "upload.create",
    "tags": ["upload"],
    "summary": "Store a file.",
    "description": "One file, in the field `file` or `image`. Its type is found by its content; images are encoded anew.",
    "parameters": [],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": BYTES, "image": BYTES}, "additionalProperties": False}
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
GET: dict[str, Any] = {
    "operationId": "upload.get",
    "tags": ["upload"],
    "summary": "The bytes of a file.",
    "description": "For its owner, and for members of a conversation in which it is used. Takes one Range, and If-None-Match.",
    "parameters": [
        {"name": "upload", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}},
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
PATHS: dict[str, dict[str, Any]] = {PATH: {"post": POST}, f"{PATH}/{{upload}}": {"get": GET}}
