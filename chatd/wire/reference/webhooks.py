"""Webhooks in the reference documents: their bodies, in OpenAPI, TypeScript and docs/webhooks.md."""

import inspect
from typing import Any

import msgspec

from chatd.wire.reference.description import Description, Outgoing
from chatd.wire.reference.schema_text import in_typescript, in_words

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


def data_schemas(outgoing: tuple[Outgoing, ...], template: str) -> dict[str, dict[str, Any]]:
    """The schemas of the contents, by name. All their fields are always sent."""
    kinds = dict.fromkeys(event.data for event in outgoing)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=template)
    for schema in schemas.values():
        schema["description"] = inspect.cleandoc(schema.get("description", ""))
    return schemas


def openapi_webhooks(outgoing: tuple[Outgoing, ...]) -> dict[str, Any]:
    """The webhooks of an OpenAPI document."""
    return {event.name: {"post": operation(event)} for event in outgoing}


def operation(event: Outgoing) -> dict[str, Any]:
    fields = {
        "type": {"const": event.name},
        "timestamp": {"type": "string", "format": "date-time"},
        "tenant": {"type": "string"},
        "data": {"$ref": f"#/components/schemas/{event.data.__name__}"},
    }
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    return {
        "operationId": f"webhook.{event.name}",
        "tags": ["webhooks"],
        "summary": event.about,
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}} for name in HEADERS
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"2XX": {"description": "The event is accepted. Any other answer is a failure."}},
        "security": [],
    }


def typescript_webhooks(described: Description) -> str:
    """The bodies as a union."""
    if not described.outgoing:
        return ""
    schemas = data_schemas(described.outgoing, "{name}")
    interfaces = ""
    for name, schema in sorted(schemas.items()):
        note = schema["description"].partition("\n")[0]
        fields = "".join(f"  {field}: {in_typescript(kind)};\n" for field, kind in schema["properties"].items())
        interfaces += f"/** {note} */\nexport interface {name} {{\n{fields}}}\n\n"
    bodies = "".join(
        f'\n  | {{ type: "{event.name}"; timestamp: string; tenant: string; data: {event.data.__name__} }}'
        for event in described.outgoing
    )
    return f"{interfaces}/** The body of a webhook. */\nexport type WebhookEvent ={bodies};\n"


def event_rows(outgoing: tuple[Outgoing, ...]) -> list[tuple[str, str, str]]:
    """The table of types."""
    return [(f"`{event.name}`", event.about, link_of(event)) for event in outgoing]


def link_of(event: Outgoing) -> str:
    return f"[{event.data.__name__}](#{event.data.__name__.lower()})"


def data_sections(outgoing: tuple[Outgoing, ...]) -> str:
    """The contents, each with a table of its fields."""
    parts = []
    for name, schema in data_schemas(outgoing, "{name}").items():
        fields = "".join(f"| `{field}` | {in_words(kind)} |\n" for field, kind in schema["properties"].items())
        parts.append(f"### {name}\n\n{schema['description']}\n\n| field | type |\n| --- | --- |\n{fields}")
    return "\n".join(parts)
