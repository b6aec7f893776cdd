"""Parts of OpenAPI operations of routes that are not commands. Subsystems declare them, see `Subsystem.openapi`."""

from typing import Any

from chatd.core.ids import PYTHON_END, UUID_PATTERN

TEXT = {"type": "string"}
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


def probe(name: str, summary: str, properties: dict[str, Any], *, unready: str = "") -> dict[str, Any]:
    """A GET without authentication that returns these fields. `unready`: the meaning of 503, with the same fields."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    content = {"application/json": {"schema": schema}}
    responses: dict[str, Any] = {"200": {"description": summary, "content": content}}
    if unready:
        responses["503"] = {"description": unready, "content": content}
    return server_operation(name, summary, responses, security=[])


def server_operation(
    name: str, summary: str, responses: dict[str, Any], *, security: list[dict[str, list[str]]]
) -> dict[str, Any]:
    """An operation without parameters that concerns the server."""
    return {
        "operationId": name,
        "tags": ["server"],
        "summary": summary,
        "parameters": [],
        "responses": responses,
        "security": security,
    }
