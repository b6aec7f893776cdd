"""The routes that are no commands, for the OpenAPI document and the reference: files, the export, probes, descriptions."""

from typing import Any

from chatd.core.ids import PYTHON_END, UUID_PATTERN
from chatd.uploads.events import PATH

UUID = {"type": "string", "pattern": UUID_PATTERN.replace(PYTHON_END, "$")}
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
    "summary": "The bytes of a file of a report.",
    "description": "Its picture, or what is attached to a message in it. That it was opened is in the audit log.",
    "parameters": [],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": REPORT_FILE_FIELDS}},
    },
    "responses": {
        "200": {"description": "All of it.", "content": {"*/*": {"schema": BYTES}}},
        "206": {"description": "The part that Range names.", "content": {"*/*": {"schema": BYTES}}},
        "304": {"description": "What you have is right."},
        **errors(_403="forbidden", _404="not_found", _408="timeout", _413="too_large", _415="bad_request", _416="bad_request"),
    },
    "security": [{"admin": []}],
}
EXPORT: dict[str, Any] = {
    "operationId": "me.export",
    "tags": ["me"],
    "summary": "All that is stored of the asker, as JSON lines.",
    "description": "A few times an hour, one at a time. See docs/privacy.md.",
    "parameters": [],
    "responses": {
        "200": {"description": "One object a line; the last one is of the type `end`", "content": {"application/x-ndjson": {}}},
        **errors(_404="not_found"),
    },
    "security": SECURITY,
}


def probe(name: str, summary: str, properties: dict[str, Any], *, unready: str = "") -> dict[str, Any]:
    """A GET for anybody, answered with these fields; `unready`: what 503 means, with the same fields."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    content = {"application/json": {"schema": schema}}
    responses: dict[str, Any] = {"200": {"description": summary, "content": content}}
    if unready:
        responses["503"] = {"description": unready, "content": content}
    return {"operationId": name, "tags": ["server"], "summary": summary, "parameters": [], "responses": responses, "security": []}


def metrics(name: str, summary: str) -> dict[str, Any]:
    text = {"description": summary, "content": {"text/plain": {"schema": {"type": "string"}}}}
    refused = errors(_404="not_found")
    responses = {"200": text, **{status: refused[status] for status in ("401", "404", "503", "504")}}
    security: list[dict[str, list[str]]] = [{"metrics": []}, {}]
    return {
        "operationId": name,
        "tags": ["server"],
        "summary": summary,
        "parameters": [],
        "responses": responses,
        "security": security,
    }


TEXT = {"type": "string"}
STATUS = {"status": {"type": "string", "enum": ["ready", "degraded", "away", "draining"]}, "services": {"type": "object"}}
READY: dict[str, Any] = {"summary": "Whether it can serve.", "properties": STATUS, "unready": "It cannot serve now."}
PING = {"live": {"type": "boolean"}, "url": TEXT, "sessions": {"type": "integer"}}
ROUTES: dict[str, dict[str, Any]] = {
    PATH: {"post": UPLOAD},
    f"{PATH}/{{upload}}": {"get": DOWNLOAD},
    "/admin/report/file": {"post": FILE_OF_REPORT},
    "/v1/me/export": {"get": EXPORT},
    "/": {
        "get": probe("server.welcome", "The version, and where everything is.", {"chatd": TEXT, "socket": TEXT, "openapi": TEXT})
    },
    "/openapi.json": {"get": probe("server.openapi", "The OpenAPI description.", {"openapi": TEXT, "paths": {"type": "object"}})},
    "/healthz": {"get": probe("server.healthz", "The process lives.", {"status": {"type": "string", "enum": ["ok"]}})},
    "/readyz": {"get": probe("server.readyz", **READY)},
    "/health": {"get": probe("server.health", **READY)},
    "/v1/socket/ping": {"get": probe("server.ping", "Whether sockets are let in.", PING, unready="They are not let in now.")},
    "/metrics": {"get": metrics("server.metrics", "Metrics of this node, for Prometheus.")},
    "/metrics/nodes": {"get": metrics("server.metrics.nodes", "Metrics of all nodes.")},
}
