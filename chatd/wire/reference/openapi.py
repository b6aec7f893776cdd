"""OpenAPI 3.1 of the REST API."""

from dataclasses import replace
from functools import cache
from typing import Any

from chatd.core.errors import REFUSALS
from chatd.wire.reference.conditions import JSON, JSON_VALUE, free_form
from chatd.wire.reference.description import Declared, Description, Schema
from chatd.wire.reference.json_schema import (
    FIELD,
    WITH_QUERY,
    Schemas,
    components,
    doc_of,
    in_order,
    is_for_admins,
    is_for_servers,
    summary_of,
)
from chatd.wire.reference.routes import UUID
from chatd.wire.reference.webhooks import data_schemas, openapi_webhooks

DEFAULT_SERVER = "http://127.0.0.1:8081"
ALWAYS = ("bad_request", "rate_limited", "unavailable", "maintenance", "timeout", "banned", "internal")
OF_SERVERS = ("bad_request", "forbidden", "rate_limited", "unavailable", "maintenance", "timeout", "internal")
OF_ADMINS = ("bad_request", "not_found", "forbidden", "rate_limited", "unavailable", "timeout", "internal")
# Refusals of HTTP itself for requests with a body.
OF_BODIES = {"408": ["timeout"], "413": ["too_large"], "415": ["bad_request"]}


def openapi(described: Description, version: str, server: str = DEFAULT_SERVER) -> dict[str, Any]:
    """The document for a server at this address. The same declarations give the same text."""
    paths, schemas = operations(described)
    return {
        "openapi": "3.1.0",
        "info": {"title": "chatd", "version": version, "description": "The REST API of chatd. See docs/protocol.md."},
        "servers": [{"url": server}],
        "paths": paths,
        "webhooks": openapi_webhooks(described.outgoing),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "admin": {"type": "http", "scheme": "bearer", "description": "The token of an admin ([admins.NAME])."},
                "service": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A service token (`chatd tokens add`) of the backend of an app.",
                },
                "metrics": {"type": "http", "scheme": "bearer", "description": "The token of metrics (metrics.token)."},
            },
        },
    }


@cache
def operations(described: Description) -> tuple[dict[str, Any], dict[str, Any]]:
    """The paths and the schemas, made once for the process."""
    rows = tuple(row for row in in_order(described).rows if row.http)
    schemas = components(replace(described, rows=rows, events={}), "#/components/schemas/{name}", *described.results)
    schemas |= data_schemas(described.outgoing, "#/components/schemas/{name}")
    schemas = {name: free_form(schema) for name, schema in schemas.items()} | {JSON: JSON_VALUE}
    paths: dict[str, dict[str, Any]] = {path: dict(operations) for path, operations in described.routes.items()}
    conditions = {condition.kind: condition.schema for condition in described.conditions}
    for row in rows:
        method, path = row.http.split(" ")
        paths.setdefault(path, {})[method.lower()] = operation(row, schemas, conditions.get(row.command, {}))
    return dict(sorted(paths.items())), dict(sorted(schemas.items()))


def operation(row: Declared, schemas: Schemas, condition: Schema) -> dict[str, Any]:
    method, path = row.http.split(" ")
    fields = {name: value for name, value in schemas[row.command.__name__]["properties"].items() if name != "t"}
    required = schemas[row.command.__name__].get("required", [])
    in_path = FIELD.findall(path)
    rest = {name: value for name, value in fields.items() if name not in in_path}
    described: dict[str, Any] = {
        "operationId": row.tag,
        "tags": ["server API" if is_for_servers(row) else row.tag.partition(".")[0]],
        "summary": summary_of(row.command),
        "description": f"{doc_of(row.command)}\n\n{summary_of(row.handler)}".strip(),
        "parameters": [parameter(name, fields[name], "path", True) for name in in_path],
        "responses": responses(row),
    }
    if row.guard.name != "NOTHING":
        described["security"] = [security_of(row)]
    if row.of_session:
        described["parameters"].append(parameter("Chatd-Session", UUID, "header", True))
    if row.scope:
        described["description"] = f"Scope: `{row.scope}`. {described['description']}"
    if method in WITH_QUERY:
        described["parameters"] += [parameter(name, value, "query", name in required) for name, value in rest.items()]
    elif rest:
        described["requestBody"] = body(rest, [name for name in required if name in rest], condition)
    return described


def security_of(row: Declared) -> dict[str, list[str]]:
    """The credential of a command. Scopes of bearer tokens are listed as roles (OpenAPI 3.1, 4.8.30)."""
    if is_for_servers(row):
        return {"service": [row.scope]}
    return {"admin": [row.role]} if is_for_admins(row) else {"bearer": []}


def parameter(name: str, schema: Any, where: str, required: bool) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": schema}


def body(fields: dict[str, Any], required: list[str], condition: Schema) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": required, "additionalProperties": False, **condition}
    return {"required": bool(required or condition), "content": {"application/json": {"schema": schema}}}


def responses(row: Declared) -> dict[str, Any]:
    """200 and the result; for each status the refusals that have it."""
    codes: dict[str, list[str]] = {}
    if row.http.split(" ")[0] not in WITH_QUERY:
        codes = {status: list(names) for status, names in OF_BODIES.items()}
    own = row.refuses if row.guard.name == "NOTHING" else (*row.refuses, "unauthenticated")
    usual = OF_ADMINS if is_for_admins(row) else OF_SERVERS if is_for_servers(row) else ALWAYS
    for code in dict.fromkeys((*usual, *own)):
        names = codes.setdefault(str(REFUSALS[code].status), [])
        names += [] if code in names else [code]
    errors = {status: answer(", ".join(names), "Error") for status, names in sorted(codes.items())}
    return {"200": answer(summary_of(row.result), row.result.__name__), **errors}


def answer(description: str, name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
